/*
 * shipping_inside: what shipping.c (sending) and shipping_collect.c share; for them
 * alone. [executor]
 */
#ifndef EXECUTOR_SHIPPING_INSIDE_H
#define EXECUTOR_SHIPPING_INSIDE_H

#include "executor/shipping.h"

#define SHIPPED_FOLDER "shipped" /* below the root */
#define NEEDS_FILE "shipped"     /* in a run's folder: URIs, one a line */

#endif
