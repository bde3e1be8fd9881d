#include "executor/spark_environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/archive.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/pep440.h"

/* What an environment may be: far above what is known (1.5 million files, 100 GB), far
 * below what would fill a cluster. */
static const struct worktree_limits limits = {.max_files = 2000000,
                                              .max_size_bytes = UINT64_C(200) << 30};

/*
 * argv: the folder, how many names have to work, the names. The others are found: what
 * has compiled parts is what may not work with another C library or Python.
 */
static const char try_imports[] =
    "import importlib, os, sys\n"
    "folder, count = sys.argv[1], int(sys.argv[2])\n"
    "wanted = sys.argv[3:3 + count]\n"
    "sys.path.insert(0, folder)\n"
    "found = set()\n"
    "for top, folders, files in os.walk(folder):\n"
    "    if any(name.endswith('.so') for name in files):\n"
    "        found.add(os.path.relpath(top, folder).split(os.sep)[0])\n"
    "for name in wanted + sorted(found - set(wanted + ['.'])):\n"
    "    if name not in wanted and not name.isidentifier():\n"
    "        continue\n"
    "    try:\n"
    "        importlib.import_module(name)\n"
    "    except Exception as e:\n"
    "        text = '%s cannot be imported: %s: %s' % (name, type(e).__name__, e)\n"
    "        if name in wanted:\n"
    "            sys.exit(text)\n"
    "        print('warning: ' + text.split('\\n')[0])\n";

/* A Python that is not known is found out by the import. */
static int check_version(const struct environment_pin *pin, const char *python,
                         const char *python_version, struct error *err)
{
    const char *own = pin->facts.python;
    if (own[0] == '\0' || python_version[0] == '\0' ||
        pep440_same_series(own, python_version)) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED,
              "the environment is for Python %.*s, the cluster's Python is %.*s: %.200s",
              (int)pep440_series(own), own, (int)pep440_series(python_version),
              python_version, python);
    return error_hint(
        err,
        "set `python: %.*s` for the environment, or spark.pyspark.python to "
        "an interpreter of the cluster that is a %.*s",
        (int)pep440_series(python_version), python_version, (int)pep440_series(own), own);
}

int spark_environment_choose(const struct environment_pin *pin, const char *python,
                             const char *python_version, enum spark_environment_kind *out,
                             struct error *err)
{
    *out = SPARK_ENVIRONMENT_NONE;
    if (pin == NULL) {
        return 0;
    }
    if (strcmp(pin->activation, "image") == 0) {
        error_set(err, ERR_UNSUPPORTED,
                  "a cluster's driver and executors are not started from an image");
        return error_hint(err, "give the environment as packages (requirements.txt), or "
                               "run on a target that is one machine");
    }
    if (pin->facts.identity[0] == '\0') {
        *out = SPARK_ENVIRONMENT_EXISTING;
        return 0;
    }
    if (strcmp(pin->activation, "conda") == 0) {
        *out = SPARK_ENVIRONMENT_CONDA;
        return 0;
    }
    *out = SPARK_ENVIRONMENT_PACKAGES;
    return check_version(pin, python, python_version, err);
}

/* ---- Packing */

/* What nobody imports there: pip is a thousand files; pyspark with its jars is the
 * cluster's own, and another version of it would be found in that one's place. */
static const char *const left_out[] = {"pip", "pyspark", "py4j"};

static bool is_left_out(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(left_out); i++) {
        if (strcmp(name, left_out[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Folders at the top, and those that tell of them: "pip-23.0.1.dist-info". */
static bool is_wanted(void *context, const char *path, bool is_folder)
{
    (void)context;
    CLEANUP_FREE char *name = xstrndup(path, strcspn(path, "-"));
    return !is_folder || strchr(path, '/') != NULL || !is_left_out(name);
}

static void say_packed(const struct spark_packing *p, const struct archive_facts *facts)
{
    char size[FILES_SIZE_TEXT];
    files_format_size(size, facts->archive_bytes);
    programs_say(p->programs, "packed the environment for the cluster: %llu files, %s",
                 (unsigned long long)facts->totals.files, size);
}

static int pack_packages(const struct spark_packing *p, int fd, struct error *err)
{
    const struct archive_request request = {
        .out_fd = fd, .limits = limits, .want = is_wanted};
    CLEANUP_FREE char *path =
        xasprintf("%s/lib/python%.*s/site-packages", p->pin->prefix,
                  (int)pep440_series(p->pin->facts.python), p->pin->facts.python);
    CLEANUP_FD int folder = files_open_dir(AT_FDCWD, path, err);
    struct archive_facts facts;
    if (folder < 0 || archive_folder(&request, folder, &facts, err) < 0) {
        return -1;
    }
    say_packed(p, &facts);
    return 0;
}

/* conda-pack writes a file of its own, beside the scratch folder. */
static int pack_conda(const struct spark_packing *p, int fd, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s.conda.tar", p->scratch);
    const char *const argv[] = {"conda-pack", "--prefix", p->pin->prefix, "--output",
                                path,         "--format", "tar",          "--force",
                                "--quiet",    NULL};
    int status = programs_run(p->programs, argv, false, err);
    if (status < 0) {
        (void)unlink(path);
        if (err != NULL && err->code == ERR_SPAWN) {
            error_set(err, ERR_NOT_FOUND,
                      "a conda environment reaches a cluster by conda-pack, which the "
                      "node does not have");
            error_hint(err, "install it there (conda install -c conda-forge conda-pack), "
                            "or give the environment as packages (requirements.txt)");
        }
        return error_result();
    }
    CLEANUP_FD int in = open(path, O_RDONLY | O_CLOEXEC);
    (void)unlink(path);
    if (status != 0 || in < 0) {
        error_set(err, ERR_SPAWN, "conda-pack failed (status %d)", status);
        return error_hint(err, "see prepare.log for what it said");
    }
    return fdio_copy(in, fd, INT64_MAX) < 0 ? error_sys(err, "copy the archive") : 0;
}

/* ---- Trying it */

static int try_in(const struct spark_packing *p, const char *folder, struct error *err)
{
    bool is_conda = p->kind == SPARK_ENVIRONMENT_CONDA;
    CLEANUP_FREE char *own = files_join(folder, "bin/python");
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    strvec_push(&argv, is_conda ? own : p->python);
    strvec_push(&argv, "-I");
    strvec_push(&argv, "-c");
    strvec_push(&argv, try_imports);
    /* conda's packages are its own Python's: its folder has nothing to look through. */
    strvec_push(&argv, is_conda ? "/nonexistent" : folder);
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    for (size_t i = 0; i < p->imports->count; i++) {
        CLEANUP_FREE char *top =
            xstrndup(p->imports->items[i], strcspn(p->imports->items[i], "."));
        if (is_conda || !is_left_out(top)) {
            strvec_push(&names, p->imports->items[i]);
        }
    }
    strvec_pushf(&argv, "%zu", names.count);
    for (size_t i = 0; i < names.count; i++) {
        strvec_push(&argv, names.items[i]);
    }
    int status =
        programs_run(p->programs, (const char *const *)strvec_argv(&argv), false, err);
    if (status <= 0) {
        return status;
    }
    struct strbuf *said = programs_text(p->programs);
    while (said->length > 0 && said->data[said->length - 1] == '\n') {
        strbuf_truncate(said, said->length - 1);
    }
    const char *newline = strrchr(said->data, '\n');
    error_set(err, ERR_UNSUPPORTED,
              "the environment does not work with the cluster's Python (%.200s): %.400s",
              argv.items[0], newline != NULL ? newline + 1 : said->data);
    return error_hint(err, "add what is missing to the requirements, or take the name "
                           "out of `imports`");
}

static int try_archive(const struct spark_packing *p, int fd, struct error *err)
{
    struct archive_facts facts;
    CLEANUP_FD int folder = files_open_or_make_dir(AT_FDCWD, p->scratch, err);
    if (folder < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
        archive_unpack(fd, folder, &limits, &facts, err) < 0) {
        return error_wrap(err, "unpack the environment's archive");
    }
    return try_in(p, p->scratch, err);
}

int spark_environment_pack(const struct spark_packing *p, int fd, struct error *err)
{
    int result = p->kind == SPARK_ENVIRONMENT_CONDA ? pack_conda(p, fd, err)
                                                    : pack_packages(p, fd, err);
    if (result == 0 && p->python != NULL) {
        result = try_archive(p, fd, err);
    }
    (void)files_remove_tree(AT_FDCWD, p->scratch, NULL);
    return result;
}
