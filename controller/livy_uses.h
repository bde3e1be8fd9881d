/*
 * livy_uses: which archives the attempts need that share a Livy's folder.    [controller]
 *
 * The folder itself says it, for every machine that works there: an attempt makes the
 * folder "runs/TAG/uses/projects+3f2a.tar" before it looks whether that archive is there,
 * and all of it goes with the attempt's own folder. So who puts an archive aside, reads
 * the uses after that, and finds none, may remove it: whoever came before was seen, and
 * who comes after finds no archive and sends it.
 *
 * What asks a cluster for its Python (LIVY_QUESTION) needs none, and says nothing.
 */
#ifndef CONTROLLER_LIVY_USES_H
#define CONTROLLER_LIVY_USES_H

#include "common/clock.h"
#include "common/strvec.h"
#include "controller/livy_place.h"

#define LIVY_RUNS "runs"
#define LIVY_TAG "errand-"      /* what an attempt's folder, and its batch, begin with */
#define LIVY_QUESTION "-python" /* and that of a question ends with */

/* An archive's time of access is at most so much older than its last use. */
#define LIVY_USED_NOTED_MS MS_PER_DAY

/* Note that the attempt whose folder this is needs the archive of this name,
 * "projects/3f2a.tar"; the folder is made. Errors: livy_place_make_dir's. */
int livy_uses_note(const struct livy_place *place, const char *folder, const char *name,
                   struct error *err);
/*
 * Append the names of all archives that attempts need, those of the folders `except`
 * ("errand-x-1") aside. Errors: ERR_BUSY (an attempt does not say what it needs: which
 * one), livy_place_list's; then what is needed is not known.
 */
int livy_uses_read(const struct livy_place *place, const struct strvec *except,
                   struct strvec *out, struct error *err);

#endif
