/*
 * livy_reach: a target's Livy server, and the folder that it shares with errand.
 * [controller]
 *
 * Life: livy_reach_open -> ... -> livy_reach_release.
 */
#ifndef CONTROLLER_LIVY_REACH_H
#define CONTROLLER_LIVY_REACH_H

#include "common/livy.h"
#include "controller/livy_place.h"
#include "controller/target.h"

struct livy_reach {
    char *password;
    struct http_settings settings;
    struct http *http;
    struct livy livy;
    struct livy_place place;
};
void livy_reach_release(struct livy_reach *reach);
#define CLEANUP_REACH __attribute__((cleanup(livy_reach_release)))

/* target, of kind livy, is borrowed until the release; password is the reach's from now
 * on, and may be NULL. Released in any case. Errors: http_libcurl_new's,
 * livy_place_init's. */
int livy_reach_open(struct livy_reach *reach, const struct target *target, char *password,
                    struct error *err);

#endif
