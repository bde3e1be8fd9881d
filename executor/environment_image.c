/*
 * environment_image: a container image, pulled by podman or docker.            [executor]
 *
 * The image lies in the engine's own store; what is "built" here is the note of which one
 * it is, by digest: a run starts exactly that one, though its tag may have moved since,
 * and an engine that has lost it fetches the same again. Source: podman-pull(1),
 * podman-image-inspect(1) of podman 4.3, which was seen to do this;
 * docs.docker.com/reference/cli/docker/image for docker.
 */
#include "executor/environment.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/files.h"
#include "executor/container.h"
#include "executor/environment_check.h"

/* In front of the answer: what the engine warns of stands beside it. */
#define ANSWER_WORD "errand-image "

static const char *version(const struct tool *python, const struct tool *program)
{
    (void)python;
    return program->version;
}

/* 1: its id and digests are in out; 0: it is not there, or not told. */
static int inspect(struct build *b, struct strbuf *out, struct error *err)
{
    static const char format[] = ANSWER_WORD "{{.Id}}{{range .RepoDigests}} {{.}}{{end}}";
    const char *const argv[] = {
        b->program->real,     "image", "inspect", "--format", format,
        b->definition->image, NULL};
    int status = programs_run(b->programs, argv, true, err);
    const char *at = strstr(programs_text(b->programs)->data, ANSWER_WORD);
    if (status != 0 || at == NULL) {
        return status < 0 ? -1 : 0;
    }
    at += strlen(ANSWER_WORD);
    strbuf_printf(out, "%.*s", (int)strcspn(at, "\n"), at);
    return 1;
}

static int pull(struct build *b, struct error *err)
{
    const char *const argv[] = {b->program->real, "pull", b->definition->image, NULL};
    return environment_builder_run(b, argv, err);
}

/* Of "ID DIGEST ...": what the engine is to start, and the record. */
static int record(struct build *b, char *text, struct error *err)
{
    CLEANUP_FREE char *path = files_join(b->prefix, CONTAINER_IMAGE_FILE);
    CLEANUP_FD int fd = files_open_or_make_dir(AT_FDCWD, b->prefix, err);
    if (fd < 0) {
        return -1;
    }
    char *digest = strchr(text, ' ');
    if (digest != NULL) {
        *digest++ = '\0';
        digest[strcspn(digest, " ")] = '\0';
    }
    const char *image = digest != NULL && digest[0] != '\0' ? digest : text;
    strbuf_printf(&b->lock, "# %s, image %s\n%s\n", b->definition->image, text, image);
    return files_write_atomic(AT_FDCWD, path, image, strlen(image), 0600, err);
}

static int make(struct build *b, struct error *err)
{
    const char *lacks = container_lacks(b->program->real);
    bool is_refresh = b->environment->spec->environment.is_refresh;
    CLEANUP_STRBUF struct strbuf answer = STRBUF_INIT;
    int found = is_refresh ? 0 : inspect(b, &answer, err);
    if (found < 0 || (found == 0 && pull(b, err) < 0)) {
        return -1;
    }
    if (found == 0) {
        found = inspect(b, &answer, err);
    }
    if (found <= 0) {
        return found < 0 ? -1
                         : error_set(err, ERR_SPAWN, "%s does not say what %s is",
                                     b->program->real, b->definition->image);
    }
    if (lacks != NULL) {
        programs_say(b->programs, "warning: containers here do not get %s", lacks);
    }
    b->activation = CONTAINER_ACTIVATION;
    b->start = b->program->real;
    return record(b, answer.data, err);
}

/* Only what was asked for: an image needs no Python. */
static int check(struct build *b, struct error *err)
{
    const struct strvec *imports = &b->environment->spec->environment.imports;
    const char *const start[] = {
        b->program->real,     "run", "--rm", "--network=none", "--entrypoint=python3",
        b->definition->image, NULL};
    return imports->count == 0 ? 0 : environment_check(b->programs, start, imports, err);
}

const struct builder builder_podman = {
    .name = "podman",
    .kinds = 1U << ENVSPEC_IMAGE,
    .program = TOOL_PODMAN,
    .version = version,
    .missing = "install podman (apt install podman)",
    .make = make,
    .check = check,
};

const struct builder builder_docker = {
    .name = "docker",
    .kinds = 1U << ENVSPEC_IMAGE,
    .program = TOOL_DOCKER,
    .version = version,
    .missing = "docker, which this account may use",
    .make = make,
    .check = check,
};
