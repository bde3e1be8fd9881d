#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/strvec.h"
#include "executor/clusterfs.h"
#include "tests/unit/scratch.h"
#include "tests/unit/stores.h"

#define BIG UINT64_MAX

/* A file system that is a folder, and a stand-in for FsShell that knows "x:/" as its
 * name: what it says is what the real one said (Hadoop 3.3.6). What a file `say` holds it
 * says instead, and fails. */
static const char stand_in[] =
    "#!/bin/sh\n"
    "top=${0%/*}/fs; echo \"$*\" >> \"${0%/*}/calls\"\n"
    "echo '2026-11-28 WARN util.NativeCodeLoader: Unable to load' >&2\n"
    "[ -f \"${0%/*}/say\" ] && { cat \"${0%/*}/say\" >&2; exit 1; }\n"
    "shift\n"
    "[ \"$1 $2\" = '-D fs.permissions.umask-mode=077' ] || exit 9\n"
    "shift 2\n"
    "at() { echo \"$top${1#x:}\"; }\n"
    "case $1 in\n"
    "-stat) case $2 in errand-file*) for f in \"$top\"/a/* \"$top\"/a/.[!.]*; do\n"
    "  [ -f \"$f\" ] && echo \"errand-file $(stat -c %Y \"$f\")000 ${f##*/}\" && any=1\n"
    "  done; [ -n \"$any\" ] && exit 0; echo \"stat: No such file or directory\" >&2\n"
    "  exit 1;; esac; f=$(at \"$3\"); [ -e \"$f\" ] || {\n"
    "  echo \"stat: \\`$3': No such file or directory\" >&2; exit 1; }\n"
    "  echo \"errand-size $(wc -c < \"$f\" | tr -d ' ')\";;\n"
    "-mkdir) mkdir -p \"$(at \"$3\")\";;\n"
    "-put) f=$(at \"$3\"); [ -d \"${f%/*}\" ] || {\n"
    "  echo \"put: \\`$3': No such file or directory: \\`$3'\" >&2; exit 1; }\n"
    "  [ -e \"$f\" ] && { echo \"put: \\`$3': File exists\" >&2; exit 1; }\n"
    "  if [ -f \"${0%/*}/cut\" ]; then head -c 2 \"$2\" > \"$f\"; else cp \"$2\" \"$f\"; "
    "fi;;\n"
    "-get) cp \"$(at \"$2\")\" \"$3\";;\n"
    "-rm) rm -rf \"$(at \"$5\")\";;\n"
    "esac\n";

struct place {
    struct scratch *s;
    struct programs *programs;
    struct clusterfs fs;
    char *program;
};

static void place_open(struct place *p)
{
    p->s = scratch_new();
    p->program = scratch_path(p->s, "hadoop");
    scratch_mkdir(p->s, "fs");
    scratch_write_bytes(p->s, "hadoop", stand_in, strlen(stand_in), 0755);
    scratch_write(p->s, "calls", "");
    scratch_write(p->s, "file", "12345");
    p->programs = programs_new(-1, -1);
    clusterfs_init(&p->fs, p->programs);
    strvec_push(&p->fs.shell, p->program);
    strvec_push(&p->fs.shell, "fs");
    strvec_push(&p->fs.variables, "PATH=/usr/bin:/bin");
}

static void place_close(struct place *p)
{
    clusterfs_release(&p->fs);
    programs_free(p->programs);
    free(p->program);
    scratch_free(p->s);
}

static size_t calls(const struct place *p)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    size_t count = 0;

    assert_int_equal(files_read(p->s->fd, "calls", &text, NULL), 0);
    for (size_t i = 0; i < text.length; i++) {
        count += text.data[i] == '\n';
    }
    return count;
}

static int put_one(struct place *p, const char *uri, struct error *err)
{
    CLEANUP_FREE char *path = scratch_path(p->s, "file");

    return clusterfs_put(&p->fs, path, uri, "run", err);
}

static void a_file_is_put_once_by_fsshell(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;
    bool is_there = false;
    uint64_t size = 0;

    (void)state;
    place_open(&p);
    assert_int_equal(clusterfs_size(&p.fs, "x:/a/b/f", &is_there, &size, &err), 0);
    assert_false(is_there);
    assert_int_equal(put_one(&p, "x:/a/b/f", &err), 1);
    assert_int_equal(clusterfs_size(&p.fs, "x:/a/b/f", &is_there, &size, &err), 0);
    assert_true(is_there);
    assert_int_equal(size, 5);
    assert_int_equal(put_one(&p, "x:/a/b/f", &err), 0);
    assert_file(p.s, "fs/a/b/f", "12345");
    place_close(&p);
}

struct listed {
    struct strvec names;
    int64_t last_utc_ms;
};

static void note(void *context, const char *name, int64_t used_utc_ms)
{
    struct listed *l = context;
    strvec_push(&l->names, name);
    l->last_utc_ms = used_utc_ms;
}

static void a_folder_is_listed_with_when_its_files_were_used(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;
    struct listed l = {.names = STRVEC_INIT};
    (void)state;
    place_open(&p);
    assert_int_equal(clusterfs_list(&p.fs, "x:/a", note, &l, &err), 0);
    assert_int_equal(l.names.count, 0);
    assert_int_equal(put_one(&p, "x:/a/.tmp.f", &err), 1);
    CLEANUP_FREE char *local = xasprintf("file://%s/fs/a", p.s->path);
    const char *const uris[] = {"x:/a", local};
    for (size_t i = 0; i < ARRAY_SIZE(uris); i++) {
        make_old(p.s, "fs/a/.tmp.f", 1000 * (int64_t)(100 + i));
        int64_t then = clock_utc_ms() - 100000;
        assert_int_equal(clusterfs_list(&p.fs, uris[i], note, &l, &err), 0);
        assert_int_equal(l.names.count, i + 1);
        assert_string_equal(l.names.items[i], ".tmp.f");
        assert_true(l.last_utc_ms > then - 5000 && l.last_utc_ms < then + 5000);
    }
    strvec_release(&l.names);
    place_close(&p);
}

static void two_calls_put_a_file_where_its_folder_is_there(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    (void)state;
    place_open(&p);
    assert_int_equal(put_one(&p, "x:/f", &err), 1);
    assert_int_equal(calls(&p), 2);
    place_close(&p);
}

static void what_arrives_cut_is_taken_away_again(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    (void)state;
    place_open(&p);
    scratch_write(p.s, "cut", "");
    assert_int_equal(put_one(&p, "x:/f", &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "2 bytes of 5"));
    assert_false(scratch_exists(p.s, "fs/f"));
    place_close(&p);
}

static void a_file_of_another_size_is_not_taken_for_ours(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    (void)state;
    place_open(&p);
    scratch_write(p.s, "fs/f", "1");
    assert_int_equal(put_one(&p, "x:/f", &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    place_close(&p);
}

static void a_file_is_fetched(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    (void)state;
    place_open(&p);
    CLEANUP_FREE char *to = scratch_path(p.s, "here");
    scratch_write(p.s, "fs/f", "123");
    assert_int_equal(clusterfs_get(&p.fs, "x:/f", to, 2, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_false(scratch_exists(p.s, "here"));
    assert_int_equal(clusterfs_get(&p.fs, "x:/f", to, BIG, &err), 0);
    assert_file(p.s, "here", "123");
    assert_int_equal(clusterfs_get(&p.fs, "x:/f", to, BIG, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_int_equal(clusterfs_get(&p.fs, "x:/g", to, BIG, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(clusterfs_remove(&p.fs, "x:/f", &err), 0);
    assert_false(scratch_exists(p.s, "fs/f"));
    place_close(&p);
}

/* ---- What it says, as recorded (Hadoop 3.3.6; the storage accounts' after the
 * documentation) */

static void what_fsshell_says_becomes_a_sentence(void **state)
{
    static const struct {
        const char *words;
        enum error_code code;
        const char *sentence;
    } cases[] = {
        {"put: Cannot create file/f._COPYING_. Name node is in safe mode.\n", ERR_BUSY,
         "safe mode"},
        {"put: Permission denied: user=ada, access=WRITE, "
         "inode=\"/\":root:supergroup:drwxr-xr-x\n",
         ERR_ACCESS, "user ada has no WRITE permission for /"},
        {"put: The DiskSpace quota of /q is exceeded: quota = 1 B = 1 B but diskspace "
         "consumed\norg.apache.hadoop.hdfs.protocol.DSQuotaExceededException\n",
         ERR_NO_SPACE, "quota"},
        {"-ls: java.net.UnknownHostException: nohost\nUsage: hadoop fs\n", ERR_CONNECT,
         "the host nohost"},
        {"cat: Call From vm/127.0.0.1 to localhost:1 failed on connection exception: "
         "java.net.ConnectException: Connection refused; For more details\n",
         ERR_CONNECT, "nobody answers"},
        {"put: No FileSystem for scheme \"s3q\"\n", ERR_UNSUPPORTED, "kind of file"},
        {"put: something new\n", ERR_IO, "put: something new"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct place p;
        struct error err = ERROR_INIT;
        place_open(&p);
        scratch_write(p.s, "say", cases[i].words);
        assert_int_equal(put_one(&p, "x:/f", &err), -1);
        assert_int_equal(err.code, cases[i].code);
        if (strstr(err.text, cases[i].sentence) == NULL) {
            fail_msg("%s", err.text);
        }
        place_close(&p);
    }
}

/* ---- file: */

static void a_local_address_needs_no_program(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;
    bool is_there = false;
    uint64_t size = 0;

    (void)state;
    place_open(&p);
    strvec_release(&p.fs.shell);
    CLEANUP_FREE char *uri = xasprintf("file://%s/shared/a/f", p.s->path);
    CLEANUP_FREE char *to = scratch_path(p.s, "here");
    assert_true(clusterfs_is_quick(&p.fs, uri));
    assert_int_equal(put_one(&p, uri, &err), 1);
    assert_int_equal(put_one(&p, uri, &err), 0);
    assert_int_equal(clusterfs_size(&p.fs, uri, &is_there, &size, &err), 0);
    assert_true(is_there && size == 5);
    assert_int_equal(scratch_stat(p.s, "shared/a/f").st_mode & 0777, 0644);
    assert_int_equal(clusterfs_get(&p.fs, uri, to, 4, &err), -1);
    assert_int_equal(clusterfs_get(&p.fs, uri, to, 5, &err), 0);
    assert_file(p.s, "here", "12345");
    assert_int_equal(clusterfs_remove(&p.fs, uri, &err), 0);
    assert_false(scratch_exists(p.s, "shared/a/f"));
    place_close(&p);
}

static void without_a_program_it_says_what_is_missing(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    (void)state;
    place_open(&p);
    strvec_release(&p.fs.shell);
    assert_int_equal(put_one(&p, "x:/f", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.hint, "hadoop"));
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_put_once_by_fsshell),
        cmocka_unit_test(a_folder_is_listed_with_when_its_files_were_used),
        cmocka_unit_test(two_calls_put_a_file_where_its_folder_is_there),
        cmocka_unit_test(what_arrives_cut_is_taken_away_again),
        cmocka_unit_test(a_file_of_another_size_is_not_taken_for_ours),
        cmocka_unit_test(a_file_is_fetched),
        cmocka_unit_test(what_fsshell_says_becomes_a_sentence),
        cmocka_unit_test(a_local_address_needs_no_program),
        cmocka_unit_test(without_a_program_it_says_what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
