#define _GNU_SOURCE /* fts(3) */
#include "executor/environment_seal.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"

#define WRITE_BITS (S_IWUSR | S_IWGRP | S_IWOTH)

static void close_walk(FTS **walk)
{
    if (*walk != NULL) {
        (void)fts_close(*walk);
    }
}

static int seal_entry(const FTSENT *entry, struct environment_seal *out)
{
    const struct stat *st = entry->fts_statp;
    if (entry->fts_info == FTS_D) {
        return 0; /* a folder is sealed after what is in it */
    }
    if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
        entry->fts_info == FTS_NS) {
        errno = entry->fts_errno;
        return -1;
    }
    if (entry->fts_info != FTS_DP) {
        out->files++;
    }
    out->size_bytes += (uint64_t)st->st_blocks * 512;
    if (entry->fts_info != FTS_F && entry->fts_info != FTS_DP) {
        return 0;
    }
    return (st->st_mode & WRITE_BITS) == 0
               ? 0
               : chmod(entry->fts_accpath, st->st_mode & 07777 & ~(mode_t)WRITE_BITS);
}

int environment_seal(const char *path, struct environment_seal *out, struct error *err)
{
    CLEANUP_FREE char *top = xstrdup(path);
    char *const tops[] = {top, NULL};
    CLEANUP(close_walk)
    FTS *walk = fts_open(tops, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
    const FTSENT *entry;
    *out = (struct environment_seal){.files = 0};
    if (walk == NULL) {
        return error_sys(err, "read %s", path);
    }
    while ((entry = fts_read(walk)) != NULL) {
        if (seal_entry(entry, out) < 0) {
            return error_sys(err, "make %s read-only", entry->fts_path);
        }
    }
    return errno != 0 ? error_sys(err, "read %s", path) : 0;
}
