#include "controller/statindex.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "controller/statahead.h"
#include "tests/unit/scratch.h"

#define FOLDERS 20
#define FILES 100 /* in each */
#define PATH_SIZE 64

/* A project with an index beside it. */
struct project {
    struct scratch *s;
    char *index;
    uint64_t known, looked_up, read; /* by the last walk */
};

static void path_of(unsigned folder, unsigned file, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "tree/folder%02u/file%03u", folder, file);
}

static void put(const struct project *p, const char *path, const char *text)
{
    CLEANUP_FD int fd =
        openat(p->s->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(fdio_write_full(fd, text, strlen(text)), 0);
}

static void content_oid(const struct project *p, const char *path, struct oid *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    assert_int_equal(files_read(p->s->fd, path, &text, NULL), 0);
    oid_of_bytes(text.data, text.length, out);
}

static void make(struct project *p)
{
    p->s = scratch_new();
    p->index = scratch_path(p->s, "index");
    scratch_mkdir(p->s, "tree");
    for (unsigned folder = 0; folder < FOLDERS; folder++) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "tree/folder%02u", folder);
        scratch_mkdir(p->s, path);
        for (unsigned file = 0; file < FILES; file++) {
            path_of(folder, file, path);
            put(p, path, path);
        }
    }
}

static void project_release(struct project *p)
{
    free(p->index);
    scratch_free(p->s);
}

/* One file of a walk: every digest that the index gives is the content's. */
static void take(struct project *p, struct statindex *si, const char *path)
{
    struct stat st, known = {.st_size = -1};
    struct oid oid, found;

    if (fstatat(p->s->fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    content_oid(p, path, &oid);
    if (statindex_knows(si, path, &known, &found)) {
        assert_int_equal(known.st_size, st.st_size);
        assert_int_equal(known.st_mode, st.st_mode);
        p->known++;
    } else if (statindex_lookup(si, path, &st, &found)) {
        p->looked_up++;
    } else {
        statindex_add(si, path, &st, &oid);
        p->read++;
        return;
    }
    assert_true(oid_equal(&oid, &found));
}

/* Walk, with threads ahead or without, and write the index for root. */
static void walk(struct project *p, int64_t utc_ns, bool is_ahead, uint8_t root_byte)
{
    CLEANUP(statindex_cleanup) struct statindex *si = statindex_open(p->index, utc_ns);
    struct oid root = {{root_byte}};

    p->known = p->looked_up = p->read = 0;
    if (is_ahead) {
        statindex_look_ahead(si, p->s->fd);
    }
    for (unsigned folder = 0; folder < FOLDERS; folder++) {
        for (unsigned file = 0; file < FILES + 10; file++) {
            char path[PATH_SIZE];

            path_of(folder, file, path);
            take(p, si, path);
        }
    }
    assert_int_equal(statindex_write(si, &root, NULL), 0);
}

/* A moment before which no file changed for long enough, however long it takes to make
 * them. */
static int64_t later_ns(void)
{
    return clock_utc_ms() * NS_PER_MS + 3600 * NS_PER_S;
}

static void unchanged_files_are_not_read_again(void **state)
{
    CLEANUP(project_release) struct project p = {.s = NULL};

    (void)state;
    make(&p);
    for (int is_ahead = 0; is_ahead < 2; is_ahead++) {
        walk(&p, later_ns(), is_ahead, 1);
        assert_int_equal(p.read, is_ahead ? 0 : FOLDERS * FILES);
        walk(&p, later_ns(), is_ahead, 1);
        assert_int_equal(p.read, 0);
        assert_int_equal(p.known + p.looked_up, FOLDERS * FILES);
    }
}

static void what_changed_shortly_before_the_walk_is_read_again(void **state)
{
    CLEANUP(project_release) struct project p = {.s = NULL};
    /* However long it takes to make so many files, none is older than this. */
    int64_t begin_ns = clock_utc_ms() * NS_PER_MS;

    (void)state;
    make(&p);
    for (int is_ahead = 0; is_ahead < 2; is_ahead++) {
        walk(&p, begin_ns, is_ahead, 1);
        assert_int_equal(p.read, FOLDERS * FILES);
    }
}

static void change_some(const struct project *p)
{
    for (unsigned i = 0; i < 200; i += 3) {
        unsigned folder = i % FOLDERS, file = i % FILES;
        char path[PATH_SIZE];

        path_of(folder, file, path);
        switch (i % 4) {
        case 0:
            put(p, path, "changed");
            break;
        case 1:
            assert_int_equal(unlinkat(p->s->fd, path, 0), 0);
            break;
        case 2:
            path_of(folder, FILES + i % 10, path);
            put(p, path, "new");
            break;
        default:
            assert_int_equal(fchmodat(p->s->fd, path, 0700, 0), 0);
            break;
        }
    }
}

static void changes_are_found_with_and_without_threads_ahead(void **state)
{
    CLEANUP_STRBUF struct strbuf plain = STRBUF_INIT, ahead = STRBUF_INIT;
    CLEANUP(project_release) struct project p = {.s = NULL};
    CLEANUP_FREE char *copy = NULL;
    int64_t utc_ns = later_ns();
    uint64_t read;

    (void)state;
    make(&p);
    copy = scratch_path(p.s, "copy");
    walk(&p, utc_ns, false, 1);
    assert_int_equal(link(p.index, copy), 0);
    change_some(&p);
    walk(&p, utc_ns, false, 2);
    read = p.read;
    assert_true(read > 30 && read < 200);
    assert_int_equal(files_read(AT_FDCWD, p.index, &plain, NULL), 0);

    assert_int_equal(rename(copy, p.index), 0);
    walk(&p, utc_ns, true, 2);
    assert_int_equal(p.read, read);
    assert_int_equal(files_read(AT_FDCWD, p.index, &ahead, NULL), 0);
    assert_int_equal(plain.length, ahead.length);
    assert_memory_equal(plain.data, ahead.data, plain.length);
}

static void a_damaged_index_is_empty(void **state)
{
    CLEANUP(project_release) struct project p = {.s = NULL};

    (void)state;
    make(&p);
    walk(&p, later_ns(), false, 1);
    for (off_t at = 0; at < 100; at += 7) {
        CLEANUP_FD int fd = open(p.index, O_RDWR | O_CLOEXEC);
        char byte;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte = (char)(byte ^ 1);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        walk(&p, later_ns(), true, 1);
        assert_int_equal(p.read, FOLDERS * FILES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged_files_are_not_read_again),
        cmocka_unit_test(what_changed_shortly_before_the_walk_is_read_again),
        cmocka_unit_test(changes_are_found_with_and_without_threads_ahead),
        cmocka_unit_test(a_damaged_index_is_empty),
    };

    return cmocka_run_group_tests_name("statindex", tests, NULL, NULL);
}
