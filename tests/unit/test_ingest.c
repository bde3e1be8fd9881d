#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/chunk.h"
#include "common/ingest.h"
#include "common/worktree.h"
#include "tests/unit/scratch.h"
#include "tests/unit/trees.h"

#define MIB ((size_t)1 << 20)

/* One walk, with everything that can be watched or made to happen in it. */
struct watch {
    struct objects *objects;
    const struct scratch *scratch;
    struct strbuf text;   /* what the hooks heard, a line each */
    const char *left_out; /* filter answers false for this path */
    const char *sabotage; /* at this path act is called: in filter, lookup or put */
    void (*act)(const struct watch *watch, const char *path);
    int acts_left; /* -1: always */
    bool stop_at_problem;
    struct oidset *known; /* digest of path -> answer lookup; NULL: knows nothing */
    uint64_t next_offset; /* of the file whose content comes */
    size_t file_puts;
    struct ingest_hooks hooks;
};

static void maybe_act(struct watch *watch, const char *path)
{
    if (watch->sabotage && path && strcmp(path, watch->sabotage) == 0 &&
        watch->acts_left != 0) {
        watch->acts_left -= watch->acts_left > 0;
        watch->act(watch, path);
    }
}

static int on_put(void *context, enum object_kind kind, const struct oid *oid,
                  const void *body, size_t length, const char *path, uint64_t offset,
                  struct error *err)
{
    struct watch *watch = context;

    if (path) {
        assert_int_equal(kind, OBJECT_CONTENT);
        assert_true(offset == 0 || offset == watch->next_offset);
        watch->next_offset = offset + length;
        watch->file_puts++;
        maybe_act(watch, path);
    } else {
        assert_int_equal(offset, 0);
    }
    return objects_put(watch->objects, kind, oid, body, length, err);
}

static int on_problem(void *context, const char *path, enum ingest_problem problem,
                      const struct error *err, struct error *stop_err)
{
    static const char *const words[] = {
        [INGEST_UNREADABLE] = "unreadable", [INGEST_VANISHED] = "vanished",
        [INGEST_CHANGING] = "changing",     [INGEST_SPECIAL] = "special",
        [INGEST_OUTSIDE] = "outside",
    };
    struct watch *watch = context;

    strbuf_printf(&watch->text, "%s %s%s%s\n", words[problem], path, err ? ": " : "",
                  err ? error_code_name(err->code) : "");
    return watch->stop_at_problem ? error_set(stop_err, ERR_CANCELED, "enough") : 0;
}

static bool on_filter(void *context, int dir_fd, const char *path, const char *name,
                      bool is_folder)
{
    struct watch *watch = context;
    struct stat st;

    assert_int_equal(fstat(dir_fd, &st), 0);
    assert_string_equal(path + strlen(path) - strlen(name), name);
    strbuf_printf(&watch->text, "filter %s%s\n", path, is_folder ? "/" : "");
    maybe_act(watch, path);
    return !watch->left_out || strcmp(watch->left_out, path) != 0;
}

static int on_enter(void *context, int dir_fd, const char *path,
                    const struct ingest_names *names, struct error *err)
{
    struct watch *watch = context;
    struct stat there, here;

    (void)err;
    assert_int_equal(fstat(dir_fd, &here), 0);
    there = scratch_stat(watch->scratch, path[0] ? path : ".");
    assert_int_equal(here.st_ino, there.st_ino);
    strbuf_printf(&watch->text, "enter %s\n", path);
    return ingest_names_has(names, "leave me out") ? 1 : 0;
}

static void on_leave(void *context, const char *path)
{
    struct watch *watch = context;

    strbuf_printf(&watch->text, "leave %s\n", path);
}

static int on_added(void *context, const char *path, const struct tree_entry *entry,
                    struct error *err)
{
    struct watch *watch = context;

    (void)err;
    strbuf_printf(&watch->text, "added %c %s %llu\n", (char)entry->kind, path,
                  (unsigned long long)entry->size_bytes);
    return 0;
}

static bool on_lookup(void *context, const char *path, const struct stat *st,
                      struct oid *out)
{
    struct watch *watch = context;
    struct oid key;

    assert_true(S_ISREG(st->st_mode));
    maybe_act(watch, path);
    oid_of_bytes(path, strlen(path), &key);
    if (!watch->known || !oidset_has(watch->known, OBJECT_CONTENT, &key)) {
        return false;
    }
    oid_of(OBJECT_CONTENT, "known", 5, out);
    return true;
}

static void on_remember(void *context, const char *path, const struct stat *st,
                        const struct oid *oid)
{
    struct watch *watch = context;
    char hex[OID_HEX_SIZE];

    oid_to_hex(oid, hex);
    assert_int_equal(scratch_stat(watch->scratch, path).st_ino, st->st_ino);
    strbuf_printf(&watch->text, "remember %s %lld %.8s\n", path, (long long)st->st_size,
                  hex);
}

static struct watch *watch_new(const struct scratch *s)
{
    struct watch *watch = xcalloc(1, sizeof(*watch));

    watch->objects = objects_new();
    watch->scratch = s;
    watch->acts_left = -1;
    strbuf_init(&watch->text, STRBUF_TEXT_LIMIT);
    watch->hooks =
        (struct ingest_hooks){.context = watch, .problem = on_problem, .put = on_put};
    return watch;
}

static void watch_free(struct watch *watch)
{
    if (watch) {
        objects_free(watch->objects);
        oidset_free(watch->known);
        strbuf_release(&watch->text);
        free(watch);
    }
}
DEFINE_CLEANUP_FREE(watch)
#define CLEANUP_WATCH CLEANUP(watch_cleanup)

static struct oid ingest(struct watch *watch, struct tree_totals *out_totals)
{
    struct tree_totals totals, want;
    struct error err = ERROR_INIT;
    struct oid root;

    if (ingest_folder(watch->scratch->fd, &watch->hooks, &root, &totals, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(tree_count(&watch->objects->source, &root, &want, NULL), 0);
    assert_int_equal(totals.files, want.files);
    assert_int_equal(totals.size_bytes, want.size_bytes);
    if (out_totals) {
        *out_totals = totals;
    }
    return root;
}

static int list_entry(void *context, const char *path, const struct tree_entry *entry,
                      struct error *err)
{
    (void)err;
    strbuf_printf(context, "%c %s %llu\n", (char)entry->kind, path,
                  (unsigned long long)entry->size_bytes);
    return 0;
}

/* The tree, a line an entry. */
static void assert_tree(struct watch *watch, const struct oid *root, const char *want)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    assert_int_equal(tree_walk(&watch->objects->source, root, list_entry, &text, NULL),
                     0);
    assert_string_equal(text.data, want);
}

static void assert_heard(const struct watch *watch, const char *want)
{
    assert_string_equal(watch->text.data, want);
}

static void an_empty_folder_is_taken(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct tree_totals totals;
    struct oid root = ingest(watch, &totals);

    (void)state;
    assert_tree(watch, &root, "");
    assert_int_equal(totals.files, 0);
    assert_int_equal(totals.size_bytes, 0);
}

static void a_project_is_taken(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct tree_totals totals;
    struct oid root;

    (void)state;
    scratch_mkdir(s, "sub");
    scratch_mkdir(s, "sub/only");
    scratch_mkdir(s, "sub/only/folders");
    scratch_write(s, "sub/a", "12345");
    scratch_write(s, ".hidden", "");
    scratch_write_bytes(s, "run.sh", "#!/bin/sh\n", 10, 0755);
    scratch_write_bytes(s, "group.sh", "x", 1, 0654);
    scratch_link(s, "sub/dangling", "nowhere");
    root = ingest(watch, &totals);
    assert_tree(watch, &root,
                "f .hidden 0\n"
                "f group.sh 1\n"
                "x run.sh 10\n"
                "d sub 12\n"
                "f sub/a 5\n"
                "s sub/dangling 7\n"
                "d sub/only 0\n"
                "d sub/only/folders 0\n");
    assert_int_equal(totals.files, 5);
    assert_int_equal(totals.size_bytes, 23);
    assert_heard(watch, "");
}

static void names_are_bytes(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    char longest[TREE_NAME_MAX + 1];
    CLEANUP_FREE char *want = NULL;
    struct oid root;

    (void)state;
    memset(longest, 'n', TREE_NAME_MAX);
    longest[TREE_NAME_MAX] = '\0';
    scratch_write(s, longest, "1");
    scratch_write(s, "\xff\xfe", "2");
    scratch_write(s, "new\nline", "3");
    scratch_write(s, " ", "4");
    scratch_write(s, "...", "5");
    scratch_write(s, "-rf", "6");
    root = ingest(watch, NULL);
    want = xasprintf("f   1\nf -rf 1\nf ... 1\nf new\nline 1\nf %s 1\nf \xff\xfe 1\n",
                     longest);
    assert_tree(watch, &root, want);
}

/* Written out again and taken again it has the same name. */
static void a_checkout_is_the_same_tree(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_SCRATCH struct scratch *copy = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    CLEANUP_WATCH struct watch *again = watch_new(copy);
    CLEANUP_FREE char *large = xmalloc(10 * MIB);
    struct tree_totals totals;
    struct oid root, second;

    (void)state;
    for (size_t i = 0; i < 10 * MIB; i++) {
        large[i] = (char)(i * i >> 9 ^ i);
    }
    scratch_mkdir(s, "sub");
    scratch_mkdir(s, "empty");
    scratch_write_bytes(s, "sub/large", large, 10 * MIB, 0755);
    scratch_write_bytes(s, "sub/whole", large, OBJECT_SIZE_MAX, 0644);
    scratch_write_bytes(s, "sub/just above", large, OBJECT_SIZE_MAX + 1, 0644);
    scratch_link(s, "link", "sub/large");
    root = ingest(watch, NULL);
    assert_int_equal(
        worktree_write(copy->fd, &watch->objects->source, &root, NULL, &totals, NULL), 0);
    second = ingest(again, NULL);
    assert_true(oid_equal(&root, &second));
}

static void what_is_no_file_is_reported(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct oid root;

    (void)state;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", s->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    assert_int_equal(mkfifoat(s->fd, "fifo", 0600), 0); /* nobody ever writes to it */
    scratch_write(s, "file", "x");
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "f file 1\n");
    assert_heard(watch, "special fifo\nspecial socket\n");
}

static void links_that_leave_are_taken_and_reported(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct oid root;

    (void)state;
    scratch_mkdir(s, "sub");
    scratch_link(s, "sub/fine", "../x");
    scratch_link(s, "sub/leaves", "../../x");
    scratch_link(s, "absolute", "/etc/passwd");
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "s absolute 11\nd sub 11\ns sub/fine 4\ns sub/leaves 7\n");
    assert_heard(watch, "outside absolute\noutside sub/leaves\n");
}

static void whether_a_link_leaves_is_judged_by_its_text(void **state)
{
    static const struct {
        const char *path, *target;
        bool leaves;
    } rows[] = {
        {"a", "b", false},
        {"a", "..", true},
        {"a", "../b", true},
        {"a", "/b", true},
        {"a", "b/..", false},
        {"a", "b/../..", true},
        {"a", "./b", false},
        {"a", "./../b", true},
        {"a", "b/../../b", true},
        {"d/a", "..", false},
        {"d/a", "../..", true},
        {"d/a", "..//../b", true},
        {"d/a", "../d/../b", false},
        {"d/e/a", "../../b", false},
        {"d/e/a", "../../../b", true},
        {"a", "...", false},
        {"a", "..b", false},
        {"a", ".", false},
        {"a", "b//c/", false},
        {"a", "../", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (ingest_link_leaves(rows[i].path, rows[i].target) != rows[i].leaves) {
            fail_msg("%s -> %s", rows[i].path, rows[i].target);
        }
    }
}

static void what_cannot_be_read_is_reported(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    bool is_root = geteuid() == 0;
    struct oid root;

    (void)state;
    assert_int_equal(fchmod(s->fd, 0755), 0);
    scratch_mkdir(s, "locked");
    scratch_write(s, "locked/x", "x");
    assert_int_equal(fchmodat(s->fd, "locked", 0, 0), 0);
    scratch_write_bytes(s, "secret", "x", 1, 0);
    scratch_write(s, "file", "x");
    /* Nothing is unreadable for root: be nobody for a moment. */
    assert_true(!is_root || seteuid(65534) == 0);
    root = ingest(watch, NULL);
    assert_true(!is_root || seteuid(0) == 0);
    assert_tree(watch, &root, "f file 1\n");
    assert_heard(watch, "unreadable locked: access\nunreadable secret: access\n");
}

static void remove_it(const struct watch *watch, const char *path)
{
    assert_int_equal(unlinkat(watch->scratch->fd, path, 0), 0);
}

static void what_vanishes_is_reported(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct oid root;

    (void)state;
    scratch_write(s, "a", "x");
    scratch_write(s, "b", "x");
    watch->hooks.filter = on_filter; /* after it was listed */
    watch->sabotage = "a";
    watch->act = remove_it;
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "f b 1\n");
    assert_heard(watch, "filter a\nvanished a\nfilter b\n");
    strbuf_reset(&watch->text);
    watch->hooks.filter = NULL;
    watch->hooks.lookup = on_lookup; /* after it was looked at */
    watch->sabotage = "b";
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "");
    assert_heard(watch, "vanished b\n");
}

static void grow_it(const struct watch *watch, const char *path)
{
    CLEANUP_FD int fd = openat(watch->scratch->fd, path, O_WRONLY | O_APPEND);

    assert_int_equal(write(fd, "more", 4), 4);
}

static void make_large(const struct scratch *s, const char *path, size_t length)
{
    CLEANUP_FREE char *data = xmalloc(length);

    for (size_t i = 0; i < length; i++) {
        data[i] = (char)(i * i >> 9 ^ i);
    }
    scratch_write_bytes(s, path, data, length, 0644);
}

static void a_file_that_keeps_changing_is_left_out(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct oid root;

    (void)state;
    make_large(s, "log", 5 * MIB);
    scratch_write(s, "other", "x");
    watch->sabotage = "log";
    watch->act = grow_it; /* whenever a chunk of it comes */
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "f other 1\n");
    assert_heard(watch, "changing log: changed\n");
    assert_true(watch->file_puts >= INGEST_ATTEMPTS + 1);
}

static void a_file_that_changed_once_is_read_again(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct oid root;

    (void)state;
    make_large(s, "log", 5 * MIB);
    watch->hooks.remember = on_remember;
    watch->sabotage = "log";
    watch->act = grow_it;
    watch->acts_left = INGEST_ATTEMPTS - 1;
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "f log 5242888\n");
    assert_memory_equal(watch->text.data, "remember log 5242888 ", 21);
}

/* As grow_it, but size and modification time are as before. */
static void overwrite_it(const struct watch *watch, const char *path)
{
    CLEANUP_FD int fd = openat(watch->scratch->fd, path, O_WRONLY);
    struct timespec times[2];
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(fdio_pwrite_full(fd, "?", 1, 0), 0);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    assert_int_equal(futimens(fd, times), 0);
}

static void a_change_that_hides_its_time_is_seen(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct oid root;

    (void)state;
    make_large(s, "log", 5 * MIB);
    watch->sabotage = "log";
    watch->act = overwrite_it;
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "");
    assert_heard(watch, "changing log: changed\n");
}

static void make_fifo(const struct watch *watch, const char *path)
{
    remove_it(watch, path);
    assert_int_equal(mkfifoat(watch->scratch->fd, path, 0600), 0);
}

static void make_link(const struct watch *watch, const char *path)
{
    remove_it(watch, path);
    assert_int_equal(symlinkat("/etc/passwd", watch->scratch->fd, path), 0);
}

/* Between looking and opening. A FIFO must not block, a link must not be followed. */
static void a_file_that_becomes_something_else_is_left_out(void **state)
{
    void (*const acts[])(const struct watch *, const char *) = {make_fifo, make_link};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        CLEANUP_SCRATCH struct scratch *s = scratch_new();
        CLEANUP_WATCH struct watch *watch = watch_new(s);
        struct oid root;

        scratch_write(s, "a", "x");
        watch->hooks.lookup = on_lookup;
        watch->sabotage = "a";
        watch->act = acts[i];
        root = ingest(watch, NULL);
        assert_tree(watch, &root, "");
        assert_heard(watch, "changing a: changed\n");
        assert_int_equal(watch->file_puts, 0);
    }
}

static void swap_folder(const struct watch *watch, const char *path)
{
    assert_int_equal(renameat(watch->scratch->fd, path, watch->scratch->fd, "away"), 0);
    assert_int_equal(symlinkat("/etc", watch->scratch->fd, path), 0);
}

static void a_folder_that_becomes_a_link_is_not_followed(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct oid root;

    (void)state;
    scratch_mkdir(s, "d");
    watch->hooks.filter = on_filter;
    watch->sabotage = "d";
    watch->act = swap_folder;
    watch->acts_left = 1;
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "s d 4\n");
    assert_heard(watch, "filter d/\nfilter d\noutside d\n");
}

static void hooks_hear_all_in_order(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);

    (void)state;
    scratch_mkdir(s, "sub");
    scratch_mkdir(s, "left");
    scratch_write(s, "left/x", "x");
    scratch_write(s, "sub/a", "12345");
    scratch_write(s, "z", "");
    watch->left_out = "left";
    watch->hooks.filter = on_filter;
    watch->hooks.enter = on_enter;
    watch->hooks.leave = on_leave;
    watch->hooks.added = on_added;
    watch->hooks.remember = on_remember;
    (void)ingest(watch, NULL);
    assert_heard(watch, "enter \n"
                        "filter left/\n"
                        "filter sub/\n"
                        "enter sub\n"
                        "filter sub/a\n"
                        "remember sub/a 5 a7d3541e\n"
                        "added f sub/a 5\n"
                        "leave sub\n"
                        "added d sub 5\n"
                        "filter z\n"
                        "remember z 0 2e7d2c03\n"
                        "added f z 0\n"
                        "leave \n");
}

static void a_folder_is_left_out_by_what_is_in_it(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct oid root;

    (void)state;
    scratch_mkdir(s, "a");
    scratch_write(s, "a/leave me out", "");
    scratch_write(s, "a/other", "");
    scratch_mkdir(s, "b");
    scratch_write(s, "b/leave me", "");
    watch->hooks.enter = on_enter;
    watch->hooks.leave = on_leave;
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "d b 0\nf b/leave me 0\n");
    assert_heard(watch, "enter \nenter a\nenter b\nleave b\nleave \n");
}

static void what_is_known_is_not_read(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct oid key, known;
    struct oid root;

    (void)state;
    scratch_write(s, "a", "12345");
    scratch_write(s, "b", "12345");
    watch->known = oidset_new(10);
    oid_of_bytes("a", 1, &key);
    assert_int_equal(oidset_add(watch->known, OBJECT_CONTENT, &key, 0, NULL), 1);
    objects_add(watch->objects, OBJECT_CONTENT, "known", 5, &known);
    watch->hooks.lookup = on_lookup;
    root = ingest(watch, NULL);
    assert_tree(watch, &root, "f a 5\nf b 5\n");
    assert_int_equal(watch->file_puts, 1);
}

static void whoever_stops_is_obeyed(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct error err = ERROR_INIT;
    struct tree_totals totals;
    struct oid root;

    (void)state;
    scratch_mkdir(s, "sub");
    assert_int_equal(mkfifoat(s->fd, "sub/fifo", 0600), 0);
    scratch_write(s, "z", "");
    watch->stop_at_problem = true;
    assert_int_equal(ingest_folder(s->fd, &watch->hooks, &root, &totals, &err), -1);
    assert_int_equal(err.code, ERR_CANCELED);
    /* Without a hook for problems the first one stops. */
    watch->hooks.problem = NULL;
    assert_int_equal(ingest_folder(s->fd, &watch->hooks, &root, &totals, &err), -1);
    assert_non_null(strstr(err.text, "sub/fifo"));
    assert_int_equal(unlinkat(s->fd, "sub/fifo", 0), 0);
    assert_int_equal(ingest_folder(s->fd, &watch->hooks, &root, &totals, &err), 0);
    for (size_t puts = 1; puts < 3; puts++) {
        watch->objects->puts = 0;
        watch->objects->fail_after = puts;
        assert_int_equal(ingest_folder(s->fd, &watch->hooks, &root, &totals, &err), -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
    }
}

/* Make a chain of folders "d" with a file behind each; "" is the top. */
static void make_chain(const struct scratch *s, size_t depth)
{
    int fd = dup(s->fd);

    for (size_t i = 0; i < depth; i++) {
        CLEANUP_FD int file = openat(fd, "z", O_WRONLY | O_CREAT | O_EXCL, 0644);
        int below;

        assert_true(file >= 0);
        assert_int_equal(mkdirat(fd, "d", 0755), 0);
        below = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        assert_true(below >= 0);
        close(fd);
        fd = below;
    }
    close(fd);
}

static void a_deep_folder_needs_few_descriptors(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct tree_totals totals;
    struct rlimit before, few;

    (void)state;
    make_chain(s, TREE_DEPTH_MAX);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    (void)ingest(watch, &totals);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_heard(watch, "");
    assert_int_equal(totals.files, TREE_DEPTH_MAX);
}

static void what_is_too_deep_is_reported(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    struct tree_totals totals;

    (void)state;
    make_chain(s, TREE_DEPTH_MAX + 1);
    (void)ingest(watch, &totals);
    assert_int_equal(totals.files, TREE_DEPTH_MAX + 1);
    assert_memory_equal(watch->text.data, "unreadable d/d/", 15);
    assert_string_equal(watch->text.data + watch->text.length - 10, "/d: limit\n");
}

static void a_path_that_is_too_long_is_reported(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_WATCH struct watch *watch = watch_new(s);
    char name[TREE_NAME_MAX + 1];
    struct tree_totals totals;
    int fd = dup(s->fd);

    (void)state;
    memset(name, 'n', TREE_NAME_MAX);
    name[TREE_NAME_MAX] = '\0';
    for (size_t i = 0; i < 18; i++) {
        int below;

        assert_int_equal(mkdirat(fd, name, 0755), 0);
        below = openat(fd, name, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = below;
    }
    close(fd);
    (void)ingest(watch, &totals);
    assert_memory_equal(watch->text.data, "unreadable nnn", 14);
    assert_string_equal(watch->text.data + watch->text.length - 8, ": limit\n");
    assert_null(strchr(strchr(watch->text.data, '\n') + 1, '\n'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_folder_is_taken),
        cmocka_unit_test(a_project_is_taken),
        cmocka_unit_test(names_are_bytes),
        cmocka_unit_test(a_checkout_is_the_same_tree),
        cmocka_unit_test(what_is_no_file_is_reported),
        cmocka_unit_test(links_that_leave_are_taken_and_reported),
        cmocka_unit_test(whether_a_link_leaves_is_judged_by_its_text),
        cmocka_unit_test(what_cannot_be_read_is_reported),
        cmocka_unit_test(what_vanishes_is_reported),
        cmocka_unit_test(a_file_that_keeps_changing_is_left_out),
        cmocka_unit_test(a_file_that_changed_once_is_read_again),
        cmocka_unit_test(a_change_that_hides_its_time_is_seen),
        cmocka_unit_test(a_file_that_becomes_something_else_is_left_out),
        cmocka_unit_test(a_folder_that_becomes_a_link_is_not_followed),
        cmocka_unit_test(hooks_hear_all_in_order),
        cmocka_unit_test(a_folder_is_left_out_by_what_is_in_it),
        cmocka_unit_test(what_is_known_is_not_read),
        cmocka_unit_test(whoever_stops_is_obeyed),
        cmocka_unit_test(a_deep_folder_needs_few_descriptors),
        cmocka_unit_test(what_is_too_deep_is_reported),
        cmocka_unit_test(a_path_that_is_too_long_is_reported),
    };

    return cmocka_run_group_tests_name("ingest", tests, NULL, NULL);
}
