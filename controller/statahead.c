#include "controller/statahead.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/tree.h"
#include "controller/statindex_inside.h"

#define BLOCK 64 /* files */
#define FILES_PER_THREAD STATAHEAD_FILES_MIN
#define THREADS_MAX 8
#define STACK_SIZE ((size_t)256 << 10)

enum block_state {
    IS_FREE,
    IS_TAKEN, /* by a thread that looks, or by the walk for good */
    IS_DONE,
};

struct statahead {
    int dir_fd;
    const uint8_t *const *entries;
    size_t count, block_count;
    int64_t safe_before_ns;
    bool *verdicts;       /* one a file; of a block that is done they stay as they are */
    atomic_uchar *blocks; /* enum block_state */
    atomic_size_t next;   /* the first block that no thread was sent to */
    atomic_bool is_over;
    pthread_t threads[THREADS_MAX];
    size_t thread_count;
};

static bool look_at(const struct statahead *sa, const uint8_t *entry)
{
    size_t length = statindex_path_length(entry);
    char path[TREE_PATH_MAX];
    struct stat st;

    if (length >= sizeof(path)) {
        return false;
    }
    memcpy(path, entry + STATINDEX_ENTRY_SIZE, length);
    path[length] = '\0';
    return fstatat(sa->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           statindex_is_same(entry, &st, sa->safe_before_ns);
}

static bool take_block(struct statahead *sa, size_t block)
{
    unsigned char is_free = IS_FREE;

    return atomic_compare_exchange_strong(&sa->blocks[block], &is_free, IS_TAKEN);
}

static void *run(void *opaque)
{
    struct statahead *sa = opaque;
    size_t block;

    while (!atomic_load(&sa->is_over) &&
           (block = atomic_fetch_add(&sa->next, 1)) < sa->block_count) {
        size_t end = (block + 1) * BLOCK < sa->count ? (block + 1) * BLOCK : sa->count;

        if (!take_block(sa, block)) {
            continue;
        }
        for (size_t i = block * BLOCK; i < end; i++) {
            sa->verdicts[i] = look_at(sa, sa->entries[i]);
        }
        atomic_store(&sa->blocks[block], IS_DONE);
    }
    return NULL;
}

/* However many processors there are: where files are far away, waiting is what is shared.
 */
static size_t count_threads(const struct statahead *sa)
{
    size_t wanted = sa->count / FILES_PER_THREAD;

    return wanted < THREADS_MAX ? wanted : THREADS_MAX;
}

/* Signals are the walk's. */
static void start_threads(struct statahead *sa)
{
    size_t wanted = count_threads(sa);
    pthread_attr_t attributes;
    sigset_t all, before;

    if (pthread_attr_init(&attributes) != 0) {
        return;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (sa->thread_count < wanted &&
           pthread_create(&sa->threads[sa->thread_count], &attributes, run, sa) == 0) {
        sa->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
}

struct statahead *statahead_start(int dir_fd, const uint8_t *const *entries, size_t count,
                                  int64_t safe_before_ns)
{
    struct statahead *sa;

    if (count < STATAHEAD_FILES_MIN) {
        return NULL;
    }
    sa = xcalloc(1, sizeof(*sa));
    sa->dir_fd = dir_fd;
    sa->entries = entries;
    sa->count = count;
    sa->block_count = (count + BLOCK - 1) / BLOCK;
    sa->safe_before_ns = safe_before_ns;
    sa->verdicts = xcalloc(count, sizeof(*sa->verdicts));
    sa->blocks = xcalloc(sa->block_count, sizeof(*sa->blocks));
    for (size_t i = 0; i < sa->block_count; i++) {
        atomic_init(&sa->blocks[i], IS_FREE);
    }
    atomic_init(&sa->next, 0);
    atomic_init(&sa->is_over, false);
    start_threads(sa);
    if (sa->thread_count == 0) {
        statahead_free(sa);
        return NULL;
    }
    return sa;
}

void statahead_free(struct statahead *sa)
{
    if (sa) {
        atomic_store(&sa->is_over, true);
        for (size_t i = 0; i < sa->thread_count; i++) {
            pthread_join(sa->threads[i], NULL);
        }
        free(sa->verdicts);
        free(sa->blocks);
        free(sa);
    }
}

bool statahead_is_same(struct statahead *sa, size_t i)
{
    size_t block = i / BLOCK;

    assert(i < sa->count);
    if (atomic_load(&sa->blocks[block]) == IS_DONE) {
        return sa->verdicts[i];
    }
    (void)take_block(sa, block);
    return false;
}
