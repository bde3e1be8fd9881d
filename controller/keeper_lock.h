/*
 * keeper_lock: what proves that a keeper lives; for keeper.c and keeper_place.c alone.
 * [controller]
 */
#ifndef CONTROLLER_KEEPER_LOCK_H
#define CONTROLLER_KEEPER_LOCK_H

#include "controller/keeper.h"

/* Take the lock of a place; the descriptor. Does not wait. Errors: ERR_BUSY: a keeper
 * lives there. */
int keeper_lock(const struct keeper_place *place, struct error *err);

#endif
