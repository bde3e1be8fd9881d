/*
 * ignore_file: the rules of one ignore file.            [controller]
 *
 * Lines as gitignore(5) and git's dir.c have them: comments, !, anchors, a slash at the
 * end for folders, blanks at the end unless after a backslash, CR LF, a byte order mark.
 * Whoever asks gives the entry's path relative to the folder that the file speaks about.
 */
#ifndef CONTROLLER_IGNORE_FILE_H
#define CONTROLLER_IGNORE_FILE_H

#include "common/mem.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

#define IGNORE_FILE_MAX ((size_t)4 << 20)

struct ignore_rule {
    const char *text; /* as in the file; borrowed from it */
    unsigned line;    /* counted from 1 */
    bool is_negated;  /* it takes in */
    bool names_it;    /* the name is there in full, without * and the like */
};

struct ignore_file;

/*
 * Parse text. shown: the file's path as a sentence names it (".gitignore",
 * "a/.gitignore"). Every text is a list of rules. text is consumed: the file owns its
 * bytes afterwards.
 */
struct ignore_file *ignore_file_new(const char *shown, struct strbuf *text);
void ignore_file_free(struct ignore_file *f);
DEFINE_CLEANUP_FREE(ignore_file)

/*
 * Read and parse path (relative to dir_fd). NULL with err->code ERR_NONE: there is no
 * such file, or it is none (a folder, a device, with is_nofollow also a symbolic link, as
 * in git). Errors: ERR_LIMIT (above IGNORE_FILE_MAX), ERR_ACCESS, ERR_IO.
 */
struct ignore_file *ignore_file_read(int dir_fd, const char *path, const char *shown,
                                     bool is_nofollow, struct error *err);

/* An entry that is judged. */
struct ignore_entry {
    const char *path; /* relative to the file's folder */
    size_t path_length;
    const char *name; /* its end */
    size_t name_length;
    bool is_folder;
};

/* The last rule that matches, or NULL. Borrowed from f. */
const struct ignore_rule *ignore_file_match(const struct ignore_file *f,
                                            const struct ignore_entry *entry);

/* The name that was given as shown. Borrowed from f. */
const char *ignore_file_shown(const struct ignore_file *f);

#endif
