#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/archive.h"
#include "common/chunk.h"
#include "common/tar.h"
#include "tests/unit/scratch.h"
#include "tests/unit/trees.h"

#define MIB ((size_t)1 << 20)
#define LONG_NAME                                                                        \
    "a-name-that-is-longer-than-the-hundred-bytes-which-a-plain-header-has-room-for-"    \
    "and-then-goes-on-for-a-while-so-that-nobody-takes-it-for-short"

/* ---- Writing */

struct left_out {
    char path[64], target[64];
    int count;
};

static int note_link(void *context, const char *path, const char *target,
                     struct error *err)
{
    struct left_out *left = context;

    (void)err;
    snprintf(left->path, sizeof(left->path), "%s", path);
    snprintf(left->target, sizeof(left->target), "%s", target);
    left->count++;
    return 0;
}

static int open_new(const struct scratch *s, const char *name)
{
    int fd = openat(s->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void read_back(const struct scratch *s, const char *name, struct strbuf *out)
{
    strbuf_init(out, 64 * MIB);
    assert_int_equal(files_read(s->fd, name, out, NULL), 0);
}

static enum error_code archive(const struct scratch *s, const char *name,
                               struct objects *objects, const struct oid *root,
                               struct left_out *left, struct archive_facts *facts)
{
    CLEANUP_FD int fd = open_new(s, name);
    struct error err = ERROR_INIT;
    const struct archive_request request = {
        .out_fd = fd, .leads_out = left != NULL ? note_link : NULL, .context = left};

    return archive_snapshot(&request, &objects->source, root, facts, &err) < 0 ? err.code
                                                                               : ERR_NONE;
}

static enum error_code unpack_within(const struct scratch *s, const char *name,
                                     const char *folder,
                                     const struct worktree_limits *limits,
                                     struct error *err)
{
    CLEANUP_FD int tar = openat(s->fd, name, O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int dir = files_open_or_make_dir(s->fd, folder, NULL);
    struct archive_facts facts;

    assert_true(tar >= 0 && dir >= 0);
    return archive_unpack(tar, dir, limits, &facts, err) < 0 ? err->code : ERR_NONE;
}

static void unpack_well(const struct scratch *s, const char *name, const char *folder)
{
    struct error err = ERROR_INIT;

    if (unpack_within(s, name, folder, NULL, &err) != ERR_NONE) {
        fail_msg("%s", err.text);
    }
}

static struct oid make_project(struct objects *objects)
{
    const struct row none[] = {{.name = NULL}};
    struct oid empty = trees_make(objects, none, NULL);
    const struct row sub_rows[] = {
        {.kind = TREE_FILE, .name = LONG_NAME, .text = "12345"},
        {.kind = TREE_SYMLINK, .name = "up", .text = "../run.sh"},
        {.kind = TREE_FOLDER, .name = "empty", .folder = &empty},
        {.name = NULL}};
    uint64_t size_bytes;
    struct oid sub = trees_make(objects, sub_rows, &size_bytes);
    const struct row rows[] = {
        {.kind = TREE_SYMLINK, .name = "outside", .text = "/etc/passwd"},
        {.kind = TREE_FOLDER, .name = "sub", .folder = &sub, .size_bytes = size_bytes},
        {.kind = TREE_EXECUTABLE, .name = "run.sh", .text = "#!/bin/sh\n"},
        {.kind = TREE_FILE, .name = "\xff\n", .text = "bytes"},
        {.name = NULL}};

    return trees_make(objects, rows, NULL);
}

static void a_snapshot_comes_back_as_it_was(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = make_project(objects);
    struct left_out left = {.count = 0};
    struct archive_facts facts;

    (void)state;
    assert_int_equal(archive(s, "a.tar", objects, &root, &left, &facts), ERR_NONE);
    assert_int_equal(facts.totals.files, 4);
    assert_int_equal(facts.totals.size_bytes, 5 + 10 + 5);
    assert_int_equal(facts.archive_bytes, scratch_stat(s, "a.tar").st_size);
    unpack_well(s, "a.tar", "out");
    assert_file(s, "out/sub/" LONG_NAME, "12345");
    assert_file(s, "out/run.sh", "#!/bin/sh\n");
    assert_file(s, "out/\xff\n", "bytes");
    assert_link(s, "out/sub/up", "../run.sh");
    assert_true(S_ISDIR(scratch_stat(s, "out/sub/empty").st_mode));
    assert_true(scratch_stat(s, "out/run.sh").st_mode & S_IXUSR);
    assert_false(scratch_stat(s, "out/sub/" LONG_NAME).st_mode & S_IXUSR);
    assert_int_equal(scratch_stat(s, "out/run.sh").st_mtim.tv_sec, ARCHIVE_TIME_S);
}

static void a_link_that_leads_out_is_told_and_left_out(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = make_project(objects);
    struct left_out left = {.count = 0};
    struct archive_facts facts;

    (void)state;
    assert_int_equal(archive(s, "a.tar", objects, &root, &left, &facts), ERR_NONE);
    assert_int_equal(left.count, 1);
    assert_string_equal(left.path, "outside");
    assert_string_equal(left.target, "/etc/passwd");
    unpack_well(s, "a.tar", "out");
    assert_false(scratch_exists(s, "out/outside"));
}

static void a_link_that_leads_out_is_an_error_where_nobody_listens(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = make_project(objects);
    CLEANUP_FD int fd = open_new(s, "a.tar");
    const struct archive_request request = {.out_fd = fd};
    struct archive_facts facts;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(archive_snapshot(&request, &objects->source, &root, &facts, &err),
                     -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "outside is a link to /etc/passwd"));
}

static void equal_snapshots_make_equal_bytes(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = make_project(objects);
    struct left_out left = {.count = 0};
    struct archive_facts facts;
    struct strbuf first, second;

    (void)state;
    assert_int_equal(archive(s, "a.tar", objects, &root, &left, &facts), ERR_NONE);
    assert_int_equal(archive(s, "b.tar", objects, &root, &left, &facts), ERR_NONE);
    read_back(s, "a.tar", &first);
    read_back(s, "b.tar", &second);
    assert_int_equal(first.length, second.length);
    assert_memory_equal(first.data, second.data, first.length);
    strbuf_release(&first);
    strbuf_release(&second);
}

/* A folder with one file of three chunks. */
static struct oid make_large(struct objects *objects, const char *text, size_t length)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *tree = tree_writer_new();
    CLEANUP(chunk_list_writer_cleanup)
    struct chunk_list_writer *list = chunk_list_writer_new();
    struct tree_entry entry = {
        .kind = TREE_FILE, .size_bytes = length, .name = "large", .name_length = 5};
    uint64_t size_bytes;
    struct oid root;

    for (size_t at = 0; at < length; at += length / 3) {
        struct oid chunk;
        objects_add(objects, OBJECT_CONTENT, text + at, length / 3, &chunk);
        chunk_list_writer_add(list, &chunk, length / 3);
    }
    assert_int_equal(chunk_list_writer_finish(list, &objects->sink, &entry.oid, NULL), 0);
    assert_int_equal(tree_writer_add(tree, &entry, NULL), 0);
    assert_int_equal(tree_writer_finish(tree, &objects->sink, &root, &size_bytes, NULL),
                     0);
    return root;
}

static void a_large_file_is_streamed_from_its_chunks(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_FREE char *text = xmalloc(9 * MIB);
    struct archive_facts facts;
    struct strbuf back;

    (void)state;
    for (size_t i = 0; i < 9 * MIB; i++) {
        text[i] = (char)(i * i % 251);
    }
    struct oid root = make_large(objects, text, 9 * MIB);
    assert_int_equal(archive(s, "a.tar", objects, &root, NULL, &facts), ERR_NONE);
    unpack_well(s, "a.tar", "out");
    read_back(s, "out/large", &back);
    assert_int_equal(back.length, 9 * MIB);
    assert_memory_equal(back.data, text, back.length);
    strbuf_release(&back);
}

static void what_is_missing_in_the_store_is_said(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct archive_facts facts;
    struct oid nobody;

    (void)state;
    oid_of(OBJECT_TREE, "x", 1, &nobody);
    assert_int_equal(archive(s, "a.tar", objects, &nobody, NULL, &facts), ERR_NOT_FOUND);
}

static void a_full_disk_is_told_as_such(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_FD int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct oid root = make_project(objects);
    struct left_out left = {.count = 0};
    const struct archive_request request = {
        .out_fd = fd, .leads_out = note_link, .context = &left};
    struct archive_facts facts;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(archive_snapshot(&request, &objects->source, &root, &facts, &err),
                     -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
}

/* ---- Of a folder */

static bool no_caches(void *context, const char *path, bool is_folder)
{
    (void)context;
    return !(is_folder && strcmp(path, "package/cache") == 0);
}

static void a_folder_comes_back_with_its_times(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_FD int out = open_new(s, "a.tar");
    const struct timespec times[2] = {{.tv_sec = 1234567890}, {.tv_sec = 1234567890}};
    const struct archive_request request = {.out_fd = out, .want = no_caches};
    struct archive_facts facts;
    struct error err = ERROR_INIT;

    (void)state;
    scratch_mkdir(s, "in");
    scratch_mkdir(s, "in/package");
    scratch_mkdir(s, "in/package/cache");
    scratch_write(s, "in/package/cache/x", "not wanted");
    scratch_write(s, "in/package/m.py", "x = 1\n");
    scratch_write_bytes(s, "in/tool", "#!/bin/sh\n", 10, 0755);
    scratch_link(s, "in/link", "package/m.py");
    assert_int_equal(utimensat(s->fd, "in/package/m.py", times, 0), 0);
    CLEANUP_FD int in = scratch_open_dir(s, "in");
    if (archive_folder(&request, in, &facts, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(facts.totals.files, 3);
    unpack_well(s, "a.tar", "out");
    assert_file(s, "out/package/m.py", "x = 1\n");
    assert_int_equal(scratch_stat(s, "out/package/m.py").st_mtim.tv_sec, 1234567890);
    assert_true(scratch_stat(s, "out/tool").st_mode & S_IXUSR);
    assert_link(s, "out/link", "package/m.py");
    assert_false(scratch_exists(s, "out/package/cache"));
}

static enum error_code archive_in(const struct scratch *s, struct worktree_limits limits,
                                  struct error *err)
{
    CLEANUP_FD int out = open_new(s, "a.tar");
    CLEANUP_FD int in = scratch_open_dir(s, "in");
    const struct archive_request request = {.out_fd = out, .limits = limits};
    struct archive_facts facts;

    return archive_folder(&request, in, &facts, err) < 0 ? err->code : ERR_NONE;
}

/* What stood at `home` works elsewhere: what named that place by its path does no more.
 */
static void what_is_moved_finds_itself(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_FD int out = open_new(s, "a.tar");
    struct left_out left = {.count = 0};
    struct archive_facts facts;
    CLEANUP_FREE char *home = xasprintf("%s/in", s->path);
    CLEANUP_FREE char *lib = xasprintf("%s//lib", home);
    CLEANUP_FREE char *own = xasprintf("%s/lib/data", home);
    CLEANUP_FREE char *beside = xasprintf("%s-2/lib", home);
    CLEANUP_FREE char *script = xasprintf("#!%s/bin/python3 -s\nbody\n", home);
    CLEANUP_FREE char *perl = xasprintf("#! %s/bin/perl -w\nbody\n", home);
    CLEANUP_FREE char *quoted =
        xasprintf("#!/bin/sh\n'''exec' '%s/bin/python3' \"$0\" \"$@\"\n' '''\n", home);
    CLEANUP_FREE char *other = xasprintf("#!%s-2/bin/python3\n", home);

    (void)state;
    scratch_mkdir(s, "in");
    scratch_mkdir(s, "in/bin");
    scratch_write(s, "in/bin/script", script);
    scratch_write(s, "in/bin/perl", perl);
    scratch_write(s, "in/bin/quoted", quoted);
    scratch_write(s, "in/bin/other", other);
    scratch_write(s, "in/bin/text", script);
    static const char *const programs[] = {"script", "perl", "quoted", "other"};
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        CLEANUP_FREE char *path = xasprintf("in/bin/%s", programs[i]);
        assert_int_equal(fchmodat(s->fd, path, 0755, 0), 0);
    }
    scratch_link(s, "in/bin/lib", lib);
    scratch_link(s, "in/bin/beside", beside);
    scratch_mkdir(s, "in/lib");
    scratch_write(s, "in/lib/data", "data");
    scratch_link(s, "in/lib/same", own);
    CLEANUP_FD int in = scratch_open_dir(s, "in");
    const struct archive_request request = {
        .out_fd = out, .leads_out = note_link, .home = home, .context = &left};
    assert_int_equal(archive_folder(&request, in, &facts, NULL), 0);
    unpack_well(s, "a.tar", "out");
    assert_file(s, "out/bin/script",
                "#!/bin/sh\n'''exec' \"$(dirname -- \"$0\")\"/python3 -s \"$0\" \"$@\"\n"
                "' '''\nbody\n");
    assert_file(s, "out/bin/perl", "#!/usr/bin/env perl\nbody\n");
    assert_file(s, "out/bin/quoted",
                "#!/bin/sh\n'''exec' \"$(dirname -- \"$0\")\"/'python3' \"$0\" \"$@\"\n"
                "' '''\n");
    assert_file(s, "out/bin/other", other);
    assert_file(s, "out/bin/text", script);
    assert_link(s, "out/bin/lib", "../lib");
    assert_link(s, "out/lib/same", "data");
    assert_int_equal(left.count, 1);
    assert_string_equal(left.path, "bin/beside");
}

static void a_folder_beyond_its_limits_is_refused(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct error err = ERROR_INIT;

    (void)state;
    scratch_mkdir(s, "in");
    scratch_write(s, "in/a", "12345");
    scratch_write(s, "in/b", "12345");
    assert_int_equal(archive_in(s, (struct worktree_limits){.max_files = 2}, &err),
                     ERR_NONE);
    assert_int_equal(archive_in(s, (struct worktree_limits){.max_files = 1}, &err),
                     ERR_LIMIT);
    assert_int_equal(archive_in(s, (struct worktree_limits){.max_size_bytes = 9}, &err),
                     ERR_LIMIT);
}

static void what_cannot_be_archived_is_named(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct error err = ERROR_INIT;

    (void)state;
    scratch_mkdir(s, "in");
    assert_int_equal(mkfifoat(s->fd, "in/pipe", 0600), 0);
    assert_int_equal(archive_in(s, (struct worktree_limits){0}, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "pipe"));
}

/* ---- Hostile archives */

struct hostile {
    const struct scratch *s;
    int fd;
    struct tar_writer *tar;
};

static int put_hostile(void *context, const void *data, size_t length, struct error *err)
{
    const struct hostile *h = context;

    (void)err;
    return fdio_write_full(h->fd, data, length);
}

static void hostile_begin(struct hostile *h, const struct scratch *s)
{
    const struct tar_format format = {
        .has_long_names = true, .put = put_hostile, .context = h};

    *h = (struct hostile){.s = s, .fd = open_new(s, "hostile.tar")};
    h->tar = tar_writer_new(&format, NULL);
    assert_non_null(h->tar);
}

static void hostile_add(struct hostile *h, enum tree_kind kind, const char *path,
                        const char *text)
{
    const struct tar_entry entry = {
        .kind = kind,
        .mode = 07777,
        .size_bytes = kind == TREE_FILE ? strlen(text) : 0,
        .path = path,
        .target = kind == TREE_SYMLINK ? text : NULL,
    };

    assert_int_equal(tar_writer_add(h->tar, &entry, NULL), 0);
    if (kind == TREE_FILE) {
        assert_int_equal(tar_writer_data(h->tar, text, strlen(text), NULL), 0);
    }
}

static enum error_code hostile_unpack(struct hostile *h, struct error *err)
{
    const struct worktree_limits limits = {.max_files = 100, .max_size_bytes = 1000};

    assert_int_equal(tar_writer_finish(h->tar, NULL), 0);
    tar_writer_free(h->tar);
    close(h->fd);
    return unpack_within(h->s, "hostile.tar", "out", &limits, err);
}

/* One file of this name. */
static enum error_code unpack_named(const char *path, const struct scratch *s)
{
    struct hostile h;
    struct error err = ERROR_INIT;

    hostile_begin(&h, s);
    hostile_add(&h, TREE_FILE, path, "x");
    return hostile_unpack(&h, &err);
}

static void paths_that_lead_out_are_refused(void **state)
{
    static const char *const paths[] = {
        "../out-of-it", "/tmp/errand-absolute", "a/../../b", "a/..", "..", ".", "a/./b",
        "./../x"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        CLEANUP_SCRATCH struct scratch *s = scratch_new();
        if (unpack_named(paths[i], s) != ERR_CORRUPT) {
            fail_msg("%s was taken", paths[i]);
        }
        assert_false(scratch_exists(s, "out-of-it"));
        assert_false(scratch_exists(s, "x"));
    }
    assert_int_not_equal(access("/tmp/errand-absolute", F_OK), 0);
}

static void a_file_is_not_written_through_a_link(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct hostile h;
    struct error err = ERROR_INIT;

    (void)state;
    scratch_mkdir(s, "victim");
    hostile_begin(&h, s);
    hostile_add(&h, TREE_SYMLINK, "way", "../victim");
    hostile_add(&h, TREE_FILE, "way/file", "x");
    assert_int_equal(hostile_unpack(&h, &err), ERR_EXISTS);
    assert_false(scratch_exists(s, "victim/file"));
}

static void nor_through_a_link_that_was_there_before(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_mkdir(s, "victim");
    scratch_mkdir(s, "out");
    scratch_link(s, "out/way", "../victim");
    assert_int_not_equal(unpack_named("way/file", s), ERR_NONE);
    assert_false(scratch_exists(s, "victim/file"));
}

static void a_path_that_comes_twice_is_refused(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct hostile h;
    struct error err = ERROR_INIT;

    (void)state;
    hostile_begin(&h, s);
    hostile_add(&h, TREE_FILE, "a", "1");
    hostile_add(&h, TREE_FILE, "a", "2");
    assert_int_equal(hostile_unpack(&h, &err), ERR_EXISTS);
    assert_file(s, "out/a", "1");
}

static void set_id_bits_do_not_arrive(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_int_equal(unpack_named("tool", s), ERR_NONE);
    assert_int_equal(scratch_stat(s, "out/tool").st_mode & 07022, 0);
}

static void more_than_the_limits_is_refused(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct hostile h;
    struct error err = ERROR_INIT;
    char name[16];

    (void)state;
    hostile_begin(&h, s);
    for (int i = 0; i <= 100; i++) {
        snprintf(name, sizeof(name), "%d", i);
        hostile_add(&h, TREE_FILE, name, "");
    }
    assert_int_equal(hostile_unpack(&h, &err), ERR_LIMIT);
}

/* libarchive writes neither: the header's type is changed, and its sum. */
static void set_type(const struct scratch *s, char type)
{
    unsigned char header[TAR_BLOCK];
    unsigned sum = 0;
    char text[8];
    CLEANUP_FD int fd = openat(s->fd, "hostile.tar", O_RDWR | O_CLOEXEC);

    assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
    header[156] = (unsigned char)type;
    memcpy(header + 157, "/etc/passwd", 12);
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < sizeof(header); i++) {
        sum += header[i];
    }
    snprintf(text, sizeof(text), "%06o", sum);
    memcpy(header + 148, text, 7);
    assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
}

static void devices_and_hard_links_are_refused(void **state)
{
    static const char types[] = {'1', '3', '4', '6'};

    (void)state;
    for (size_t i = 0; i < sizeof(types); i++) {
        CLEANUP_SCRATCH struct scratch *s = scratch_new();
        struct hostile h;
        struct error err = ERROR_INIT;
        hostile_begin(&h, s);
        hostile_add(&h, TREE_FILE, "a", "");
        assert_int_equal(tar_writer_finish(h.tar, NULL), 0);
        tar_writer_free(h.tar);
        close(h.fd);
        set_type(s, types[i]);
        assert_int_equal(unpack_within(s, "hostile.tar", "out", NULL, &err),
                         ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "no file, folder or symbolic link"));
        assert_false(scratch_exists(s, "out/a"));
    }
}

static void what_is_no_archive_is_refused(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct error err = ERROR_INIT;

    (void)state;
    scratch_write(s, "no.tar", "this is no archive");
    assert_int_equal(unpack_within(s, "no.tar", "out", NULL, &err), ERR_CORRUPT);
}

static void an_archive_that_is_cut_is_refused(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct hostile h;
    struct error err = ERROR_INIT;

    (void)state;
    hostile_begin(&h, s);
    hostile_add(&h, TREE_FILE, "a", "some text");
    assert_int_equal(tar_writer_finish(h.tar, NULL), 0);
    tar_writer_free(h.tar);
    assert_int_equal(ftruncate(h.fd, TAR_BLOCK + 4), 0);
    close(h.fd);
    assert_int_equal(unpack_within(s, "hostile.tar", "out", NULL, &err), ERR_CORRUPT);
}

/* ---- The writer itself */

static int put_nothing(void *context, const void *data, size_t length, struct error *err)
{
    (void)context, (void)data, (void)length, (void)err;
    return 0;
}

static void a_file_of_another_size_than_promised_is_an_error(void **state)
{
    const struct tar_format format = {.put = put_nothing};
    const struct tar_entry entry = {
        .kind = TREE_FILE, .mode = 0644, .size_bytes = 3, .path = "a"};
    CLEANUP(tar_writer_cleanup) struct tar_writer *tar = tar_writer_new(&format, NULL);
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(tar_writer_add(tar, &entry, NULL), 0);
    assert_int_equal(tar_writer_data(tar, "1234", 4, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_int_equal(tar_writer_data(tar, "12", 2, NULL), 0);
    assert_int_equal(tar_writer_finish(tar, &err), -1);
    assert_int_equal(err.code, ERR_CHANGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_comes_back_as_it_was),
        cmocka_unit_test(a_link_that_leads_out_is_told_and_left_out),
        cmocka_unit_test(a_link_that_leads_out_is_an_error_where_nobody_listens),
        cmocka_unit_test(equal_snapshots_make_equal_bytes),
        cmocka_unit_test(a_large_file_is_streamed_from_its_chunks),
        cmocka_unit_test(what_is_missing_in_the_store_is_said),
        cmocka_unit_test(a_full_disk_is_told_as_such),
        cmocka_unit_test(a_folder_comes_back_with_its_times),
        cmocka_unit_test(what_is_moved_finds_itself),
        cmocka_unit_test(a_folder_beyond_its_limits_is_refused),
        cmocka_unit_test(what_cannot_be_archived_is_named),
        cmocka_unit_test(paths_that_lead_out_are_refused),
        cmocka_unit_test(a_file_is_not_written_through_a_link),
        cmocka_unit_test(nor_through_a_link_that_was_there_before),
        cmocka_unit_test(a_path_that_comes_twice_is_refused),
        cmocka_unit_test(set_id_bits_do_not_arrive),
        cmocka_unit_test(more_than_the_limits_is_refused),
        cmocka_unit_test(devices_and_hard_links_are_refused),
        cmocka_unit_test(what_is_no_archive_is_refused),
        cmocka_unit_test(an_archive_that_is_cut_is_refused),
        cmocka_unit_test(a_file_of_another_size_than_promised_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
