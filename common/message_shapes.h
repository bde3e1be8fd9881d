/*
 * message_shapes: the bodies of messages, as tables.            [wire]
 *
 * PROTOCOL.md describes them in words; message.c applies them.
 */
#ifndef COMMON_MESSAGE_SHAPES_H
#define COMMON_MESSAGE_SHAPES_H

#include "common/message.h"
#include "common/shape.h"

/* The shape of a message's JSON body; NULL for a type whose body is none. */
const struct shape *message_shape(enum message_type type);

/* The shape of an answer (END, REPORT) to the request that opened the stream; NULL where
 * there is no such answer. */
const struct shape *message_answer_shape(enum message_type request,
                                         enum message_type answer);

#endif
