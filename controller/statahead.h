/*
 * statahead: looking at the files of a stat index ahead of the walk. [controller]
 *
 * Of a snapshot of unchanged files most is waiting for the kernel, which is asked about
 * every file; on a network filesystem nearly all of it. So a few threads look at the
 * files that the index has, in its order and in blocks, while the walk goes on. Where the
 * walk comes to a file whose block is done it has the verdict; a block that nobody began
 * is the walk's own from then on, and the threads go on behind it.
 *
 * The threads read the index's bytes, which stay as they are meanwhile, ask fstatat, and
 * write verdicts; they allocate nothing, take no signal, and share nothing else with the
 * thread of the walk, which alone calls what is declared here.
 *
 * Life: statahead_start -> statahead_is_same ... -> statahead_free.
 */
#ifndef CONTROLLER_STATAHEAD_H
#define CONTROLLER_STATAHEAD_H

#include "common/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fewer files are not worth a thread. */
#define STATAHEAD_FILES_MIN 500

struct statahead;

/*
 * Begin to look at the files of entries (count of them, each as statindex_inside.h has it
 * and in the walk's order), whose paths begin at the open folder dir_fd. What is pointed
 * to is borrowed until statahead_free. NULL: it is not worth it, or there are no threads
 * to be had.
 */
struct statahead *statahead_start(int dir_fd, const uint8_t *const *entries, size_t count,
                                  int64_t safe_before_ns);
/* Wait for the threads, which end at once. */
void statahead_free(struct statahead *sa);
DEFINE_CLEANUP_FREE(statahead)

/* True where file i was looked at and is as statindex_is_same has it; false where it is
 * not, or where nobody has looked yet. Does not block. */
bool statahead_is_same(struct statahead *sa, size_t i);

#endif
