#include "executor/service.h"

static const struct service *const rows[] = {
    &submit_service, &submit_secrets_service, &follow_service,    &fetch_service,
    &status_service, &cancel_service,         &collected_service, &check_service,
    &gc_service,     &environments_service,   &assess_service,    &bring_service,
};

const struct service *service_find(enum message_type opens)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i]->opens == opens) {
            return rows[i];
        }
    }
    return NULL;
}
