#include "executor/spark_environment.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/archive.h"
#include "common/files.h"
#include "common/pep440.h"

/* What an environment may be: far above what is known (1.5 million files, 100 GB), far
 * below what would fill a cluster. */
static const struct worktree_limits limits = {.max_files = 2000000,
                                              .max_size_bytes = UINT64_C(200) << 30};

/*
 * argv: the folder with the packages; "" or, of a Python that came along, the place where
 * it was made; how many names have to work, the names. The others are found: what has
 * compiled parts is what may not work with another C library or Python. A Python that
 * came along has nothing but what is in its archive: what lies elsewhere executors lack.
 */
static const char try_imports[] =
    "import importlib, os, sys\n"
    "folder, home, count = sys.argv[1], sys.argv[2], int(sys.argv[3])\n"
    "wanted = sys.argv[4:4 + count]\n"
    "if home:\n"
    "    own = os.path.realpath(sys.prefix) + os.sep\n"
    "    for path in sys.path[:]:\n"
    "        if path and not os.path.realpath(path).startswith(own):\n"
    "            sys.path.remove(path)\n"
    "            print('warning: %s is no part of the environment: the cluster does '\n"
    "                  'not get it' % path)\n"
    "else:\n"
    "    sys.path.insert(0, folder)\n"
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
    "        print('warning: ' + text.split('\\n')[0])\n"
    "lines = open('/proc/self/maps').read().split('\\n') if home else []\n"
    "for path in sorted(set(line[line.find('/'):] for line in lines if home in line)):\n"
    "    print('warning: %s is used from where it was made, which no other node has' % "
    "path)\n";

/* Which Pythons a Spark works with, where that is known. Of Spark before 3.4 it is the
 * pickling of functions that fails (apache/spark pulls 26194, 38987), of 4 the import.
 */
static const struct {
    const char *spark, *python, *words; /* specifiers as PEP 440 has them */
} pythons[] = {
    {"<3.0", "<3.8", "3.7 or older"},
    {"<3.4", "<3.11", "3.10 or older"},
    {"==4.0.*", ">=3.9", "3.9 or newer"},
    {">=4.1", ">=3.10", "3.10 or newer"},
};

/* Of a Python that is not the one which the cluster's Spark was set up with. */
static int check_spark(const struct environment_pin *pin, const struct spark_node *node,
                       struct error *err)
{
    const char *own = pin->facts.python;
    const char *spark = node != NULL ? node->version : "";
    /* "2.4.4.2.6.99" and "3.3.1-amzn-0" are vendors'. */
    CLEANUP_FREE char *series = xstrndup(spark, pep440_series(spark));
    for (size_t i = 0; own[0] != '\0' && spark[0] != '\0' && i < ARRAY_SIZE(pythons);
         i++) {
        if (pep440_fits(series, pythons[i].spark) &&
            !pep440_fits(own, pythons[i].python)) {
            error_set(err, ERR_UNSUPPORTED,
                      "the environment's Python is %s, and Spark %.60s works with %s",
                      own, spark, pythons[i].words);
            return error_hint(err, "ask for such a Python in the environment");
        }
    }
    return 0;
}

/* A Python that is not known is found out by the import. */
static int check_version(const struct environment_pin *pin, const struct spark_node *node,
                         struct error *err)
{
    const char *own = pin->facts.python;
    const char *other = node != NULL ? node->python_version : "";
    if (own[0] == '\0' || other[0] == '\0' || pep440_same_series(own, other)) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED,
              "the environment is for Python %.*s, the cluster's Python is %.*s: %.200s",
              (int)pep440_series(own), own, (int)pep440_series(other), other,
              node->python);
    return error_hint(
        err,
        "set `python: %.*s` for the environment, or spark.pyspark.python to "
        "an interpreter of the cluster that is a %.*s",
        (int)pep440_series(other), other, (int)pep440_series(own), own);
}

int spark_environment_choose(const struct environment_pin *pin,
                             const struct spark_node *node,
                             enum spark_environment_kind *out, struct error *err)
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
    } else if (strcmp(pin->activation, "conda") == 0) {
        *out = SPARK_ENVIRONMENT_CONDA;
    } else {
        *out = SPARK_ENVIRONMENT_PACKAGES;
        return check_version(pin, node, err);
    }
    return check_spark(pin, node, err);
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

struct packed {
    const struct spark_packing *packing;
    const char *packages; /* the folder of the packages below what is packed, "" */
};

/* Folders of packages, and those that tell of them: "pip-23.0.1.dist-info". */
static bool is_wanted(void *context, const char *path, bool is_folder)
{
    const struct packed *packed = context;
    size_t length = strlen(packed->packages);
    if (!is_folder || strncmp(path, packed->packages, length) != 0) {
        return true;
    }
    CLEANUP_FREE char *name = xstrndup(path + length, strcspn(path + length, "-"));
    return strchr(path + length, '/') != NULL || !is_left_out(name);
}

static void say_packed(const struct spark_packing *p, const struct archive_facts *facts)
{
    char size[FILES_SIZE_TEXT];
    files_format_size(size, facts->archive_bytes);
    programs_say(p->programs, "packed the environment for the cluster: %llu files, %s",
                 (unsigned long long)facts->totals.files, size);
}

static int say_left_out(void *context, const char *path, const char *target,
                        struct error *err)
{
    const struct packed *packed = context;
    (void)err;
    programs_say(packed->packing->programs,
                 "warning: %s is a link to %s: the cluster does not get it", path,
                 target);
    return 0;
}

/* Where the packages are, below a prefix; malloc'ed. */
static char *packages_folder(const struct spark_packing *p)
{
    return xasprintf("lib/python%.*s/site-packages/",
                     (int)pep440_series(p->pin->facts.python), p->pin->facts.python);
}

/* Its packages; of conda's the whole prefix, with the interpreter that finds what belongs
 * to it from where it lies itself. */
static int pack(const struct spark_packing *p, int fd, struct error *err)
{
    bool is_whole = p->kind == SPARK_ENVIRONMENT_CONDA;
    CLEANUP_FREE char *packages = packages_folder(p);
    CLEANUP_FREE char *path =
        is_whole ? xstrdup(p->pin->prefix) : files_join(p->pin->prefix, packages);
    struct packed packed = {.packing = p, .packages = is_whole ? packages : ""};
    const struct archive_request request = {.out_fd = fd,
                                            .limits = limits,
                                            .want = is_wanted,
                                            .leads_out = is_whole ? say_left_out : NULL,
                                            .home = is_whole ? path : NULL,
                                            .context = &packed};
    CLEANUP_FD int folder = files_open_dir(AT_FDCWD, path, err);
    struct archive_facts facts;
    if (folder < 0 || archive_folder(&request, folder, &facts, err) < 0) {
        return -1;
    }
    say_packed(p, &facts);
    return 0;
}

/* ---- Trying it */

static int try_in(const struct spark_packing *p, const char *folder, struct error *err)
{
    bool is_whole = p->kind == SPARK_ENVIRONMENT_CONDA;
    CLEANUP_FREE char *own = files_join(folder, "bin/python");
    CLEANUP_FREE char *below = packages_folder(p);
    CLEANUP_FREE char *packages = files_join(folder, below);
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    if (is_whole && access(own, X_OK) < 0) {
        error_set(
            err, ERR_UNSUPPORTED,
            "the environment's Python is not in its archive: %.300s/bin/python is a "
            "link that leads out of it",
            p->pin->prefix);
        return error_hint(err, "give the environment a Python of its own");
    }
    strvec_push(&argv, is_whole ? own : p->python);
    strvec_push(&argv, "-I");
    strvec_push(&argv, "-c");
    strvec_push(&argv, try_imports);
    strvec_push(&argv, is_whole ? packages : folder);
    strvec_push(&argv, is_whole ? p->pin->prefix : "");
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    for (size_t i = 0; i < p->imports->count; i++) {
        CLEANUP_FREE char *top =
            xstrndup(p->imports->items[i], strcspn(p->imports->items[i], "."));
        if (!is_left_out(top)) {
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
              is_whole ? "the environment does not work once it is moved (%.200s): %.400s"
                       : "the environment does not work with the cluster's Python "
                         "(%.200s): %.400s",
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
    int result = pack(p, fd, err);
    if (result == 0 && p->python != NULL) {
        result = try_archive(p, fd, err);
    }
    (void)files_remove_tree(AT_FDCWD, p->scratch, NULL);
    return result;
}
