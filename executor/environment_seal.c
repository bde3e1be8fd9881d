#define _GNU_SOURCE /* fts(3) */
#include "executor/environment_seal.h"

#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"

#define WRITE_BITS (S_IWUSR | S_IWGRP | S_IWOTH)
#define CACHE "__pycache__"

static void close_walk(FTS **walk)
{
    if (*walk != NULL) {
        (void)fts_close(*walk);
    }
}

static bool is_source(const FTSENT *entry)
{
    return entry->fts_info == FTS_F && entry->fts_namelen > 3 &&
           strcmp(entry->fts_name + entry->fts_namelen - 3, ".py") == 0;
}

/* Once a folder, in which fts_number is ours. */
static int make_cache(const FTSENT *source)
{
    if (source->fts_parent->fts_number != 0) {
        return 0;
    }
    source->fts_parent->fts_number = 1;
    size_t length = strlen(source->fts_accpath) - source->fts_namelen;
    CLEANUP_FREE char *path =
        xasprintf("%.*s%s", (int)length, source->fts_accpath, CACHE);
    return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0;
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
    bool is_cache = entry->fts_info == FTS_DP && strcmp(entry->fts_name, CACHE) == 0;
    if ((entry->fts_info != FTS_F && entry->fts_info != FTS_DP) || is_cache) {
        return 0;
    }
    if (is_source(entry) && make_cache(entry) < 0) {
        return -1;
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
