/*
 * outfolders: the folders of outputs that a cluster left take their place.    [content]
 *
 * What a cluster left is unpacked aside. Of that nothing but the folders that the run
 * names comes into its work tree, each whole, by one rename: a cluster has no say in the
 * rest of it.
 */
#ifndef COMMON_OUTFOLDERS_H
#define COMMON_OUTFOLDERS_H

#include "common/error.h"
#include "common/strvec.h"

/*
 * Move each of folders (relative paths, checked) from the open folder from_fd to
 * work_fd, on the same filesystem, in place of what is there. What from_fd has not stays
 * in work_fd. No symbolic link is followed. Errors: by errno; those before stay moved.
 */
int outfolders_take(int from_fd, int work_fd, const struct strvec *folders,
                    struct error *err);

/*
 * The same of a tar, unpacked in a folder of its own in the open folder run_fd, which
 * goes afterwards. What is in it is never more than it has bytes, but for holes. Errors:
 * as above, archive_unpack's.
 */
int outfolders_unpack(int tar_fd, int run_fd, int work_fd, const struct strvec *folders,
                      struct error *err);

#endif
