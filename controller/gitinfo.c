#include "controller/gitinfo.h"

#include <stdlib.h>
#include <string.h>

#include "common/subprocess.h"
#include "controller/gitplace.h"

#define GIT_TIMEOUT_MS 10000
#define STATUS_MAX ((size_t)64 << 20) /* a line for each changed file */
#define ADDRESS_MAX ((size_t)4 << 10)

#define COMMIT_LINE "# branch.oid "
#define BRANCH_LINE "# branch.head "
#define NO_COMMIT "(initial)"
#define NO_BRANCH "(detached)"

struct gitinfo_reading {
    char *folder;
    const char *status_argv[12], *address_argv[8];
    struct subprocess status, address;
    bool has_address; /* it was started */
};

static void reading_free(struct gitinfo_reading *r)
{
    free(r->folder);
    free(r);
}

struct gitinfo_reading *gitinfo_start(const char *folder)
{
    if (gitplace_find_top(folder) == 0) {
        return NULL;
    }
    struct gitinfo_reading *r = xcalloc(1, sizeof *r);
    r->folder = xstrdup(folder);
    const char *const status[] = {
        "git",      "--no-optional-locks",  "-C", r->folder, "status", "--porcelain=v2",
        "--branch", "--untracked-files=no", "--", ".",       NULL};
    const char *const address[] = {
        "git", "-C", r->folder, "config", "--get", "remote.origin.url", NULL};
    memcpy(r->status_argv, status, sizeof status);
    memcpy(r->address_argv, address, sizeof address);
    if (subprocess_capture_start(&r->status, r->status_argv, false, NULL) != 0) {
        reading_free(r);
        return NULL;
    }
    r->has_address =
        subprocess_capture_start(&r->address, r->address_argv, false, NULL) == 0;
    return r;
}

int gitinfo_fd(const struct gitinfo_reading *r)
{
    return r->status.stdout_fd;
}

/* What follows prefix, up to the line's end; NULL where the line is another, or says
 * nothing. */
static char *rest_of(const char *line, const char *prefix, const char *nothing)
{
    size_t length = strlen(prefix);
    if (strncmp(line, prefix, length) != 0) {
        return NULL;
    }
    CLEANUP_FREE char *rest = xstrndup(line + length, strcspn(line + length, "\n"));
    return strcmp(rest, nothing) == 0 ? NULL : TAKE_PTR(rest);
}

void gitinfo_take_status(const char *text, struct gitinfo *out)
{
    for (const char *line = text; *line != '\0'; line += *line == '\n') {
        if (line[0] != '#') {
            out->is_dirty = true;
            return; /* the head comes first */
        }
        if (out->commit == NULL) {
            out->commit = rest_of(line, COMMIT_LINE, NO_COMMIT);
        }
        if (out->branch == NULL) {
            out->branch = rest_of(line, BRANCH_LINE, NO_BRANCH);
        }
        line += strcspn(line, "\n");
    }
}

void gitinfo_put_address(const char *address, struct strbuf *out)
{
    const char *host = strstr(address, "://");
    if (host == NULL) {
        strbuf_puts(out, address);
        return;
    }
    host += strlen("://");
    size_t length = strcspn(host, "/?#");
    const char *at = NULL;
    for (size_t i = 0; i < length; i++) {
        at = host[i] == '@' ? host + i : at;
    }
    strbuf_printf(out, "%.*s%s", (int)(host - address), address,
                  at != NULL ? at + 1 : host);
}

static int end_with_git(struct subprocess *sp, struct strbuf *out, struct error *err)
{
    int status = 0;
    if (subprocess_capture_finish(sp, out, NULL, GIT_TIMEOUT_MS, &status, err) != 0) {
        return -1;
    }
    return status == 0 ? 0
                       : error_set(err, ERR_SPAWN, "git does not know this repository");
}

int gitinfo_finish(struct gitinfo_reading *r, struct gitinfo *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf status, address, clean;
    strbuf_init(&status, STATUS_MAX);
    strbuf_init(&address, ADDRESS_MAX);
    strbuf_init(&clean, ADDRESS_MAX);
    *out = (struct gitinfo){.commit = NULL};
    int result = end_with_git(&r->status, &status, err);
    if (result == 0) {
        gitinfo_take_status(status.data, out);
    }
    if (r->has_address && end_with_git(&r->address, &address, NULL) == 0) {
        strbuf_truncate(&address, strcspn(address.data, "\n"));
        gitinfo_put_address(address.data, &clean);
        out->repository = xstrdup(clean.data);
    }
    reading_free(r);
    return result;
}

void gitinfo_release(struct gitinfo *info)
{
    free(info->repository);
    free(info->branch);
    free(info->commit);
    *info = (struct gitinfo){.commit = NULL};
}
