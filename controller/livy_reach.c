#include "controller/livy_reach.h"

#include "common/mem.h"
#include "controller/http_libcurl.h"
#include "controller/target_livy.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-non-const-parameter): the password is the reach's own */
int livy_reach_open(struct livy_reach *reach, const struct target *target, char *password,
                    struct error *err)
{
    const struct runspec_livy *livy = target->livy;
    *reach = (struct livy_reach){
        .password = password,
        .settings = {.login = target_livy_login(livy),
                     .user = livy->user != NULL ? livy->user : "",
                     .password = password != NULL ? password : "",
                     .ca_file = livy->ca},
    };
    reach->http = http_libcurl_new(&reach->settings, err);
    reach->livy = (struct livy){.http = reach->http, .url = livy->url};
    return reach->http == NULL ? -1
                               : livy_place_init(&reach->place, livy, target->livy_base,
                                                 reach->http, err);
}

void livy_reach_release(struct livy_reach *reach)
{
    livy_place_release(&reach->place);
    http_free(reach->http);
    if (reach->password != NULL) {
        mem_wipe(reach->password, strlen(reach->password));
    }
    free(reach->password);
    *reach = (struct livy_reach){.password = NULL};
}
