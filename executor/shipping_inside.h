/*
 * shipping_inside: what shipping.c (sending) and shipping_collect.c share; for them
 * alone. [executor]
 */
#ifndef EXECUTOR_SHIPPING_INSIDE_H
#define EXECUTOR_SHIPPING_INSIDE_H

#include "executor/shipping.h"

#define SHIPPED_FOLDER "shipped" /* below the root */
/* A use is noted in the cluster once in so long: that of a file there may be so old. */
#define SHIPPED_NOTED_MS (INT64_C(24) * 3600 * 1000)
#define SHIPPED_OUTPUTS "outputs" /* below the base: what drivers leave */
#define NEEDS_FILE "shipped"      /* in a run's folder: URIs, one a line */
/* The file of a name's record: it has no slash in it. malloc'ed. */
char *shipping_record_name(const char *name);

#endif
