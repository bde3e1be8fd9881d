#define _GNU_SOURCE /* fallocate */
#include "executor/exitslot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/subprocess.h"
#include "executor/jsonline.h"

/* At the end of each slot: '#', 16 digits, newline. */
#define TRAILER 18

static const char *const stage_names[] = {
    [STAGE_PREPARE] = "prepare", [STAGE_RUN] = "run", [STAGE_FINALIZE] = "finalize"};

static uint64_t slot_offset(int64_t attempt, enum stage stage)
{
    return (uint64_t)(3 * (attempt - 1) + (int64_t)stage) * EXITSLOT_SIZE;
}

int exitslot_allocate(int exit_fd, int64_t attempt, enum stage stage, struct error *err)
{
    uint64_t offset = slot_offset(attempt, stage);
    if (fallocate(exit_fd, 0, (off_t)offset, EXITSLOT_SIZE) == 0) {
        return 0;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) {
        return error_sys(err, "make room for the record of the end");
    }
    char slot[EXITSLOT_SIZE] = "";
    if (fdio_pread_full(exit_fd, slot, sizeof(slot), offset) == EXITSLOT_SIZE) {
        return 0;
    }
    memset(slot, 0, sizeof(slot));
    if (fdio_pwrite_full(exit_fd, slot, sizeof(slot), offset) < 0) {
        return error_sys(err, "make room for the record of the end");
    }
    return 0;
}

int exitslot_clear(int exit_fd, int64_t attempt, enum stage stage, struct error *err)
{
    const char empty[EXITSLOT_SIZE] = "";
    return fdio_pwrite_full(exit_fd, empty, sizeof(empty), slot_offset(attempt, stage)) <
                   0
               ? error_sys(err, "clear the record of the %s stage's end",
                           stage_names[stage])
               : 0;
}

static void checksum(const char *data, size_t length, char out[17])
{
    struct oid digest;
    oid_of_bytes(data, length, &digest);
    bytes_to_hex(out, digest.digest, 8);
}

static const char *const kind_names[RUN_EXIT_COUNT] = {[RUN_EXIT_NONE] = "exited",
#define ROW(symbol, name, meaning) [RUN_EXIT_##symbol] = name,
                                                       RUN_EXIT_TABLE(ROW)
#undef ROW
};

/* What a slot may say: the ends that a process or an attendant sees. */
#define KINDS                                                                            \
    (1U << RUN_EXIT_EXITED | 1U << RUN_EXIT_SIGNALED | 1U << RUN_EXIT_COULD_NOT_START |  \
     1U << RUN_EXIT_TIMED_OUT | 1U << RUN_EXIT_UNKNOWN)

static void format_slot(struct jsonline *l, const struct exitslot *slot, size_t max_text)
{
    jsonline_integer(l, "attempt", slot->attempt);
    jsonline_integer(l, "stage", (int64_t)slot->stage);
    jsonline_string(l, "kind", kind_names[slot->exit.kind]);
    if (slot->exit.kind == RUN_EXIT_SIGNALED) {
        jsonline_string(l, "signal", subprocess_signal_name(slot->exit.signal));
    } else if (slot->exit.kind != RUN_EXIT_UNKNOWN &&
               slot->exit.kind != RUN_EXIT_TIMED_OUT) {
        jsonline_integer(l, "code", slot->exit.code);
    }
    jsonline_time(l, "time", slot->utc_ms);
    jsonline_integer(l, "start", (int64_t)slot->start);
    jsonline_string(l, "by", slot->by);
    jsonline_string(l, "step", slot->step);
    jsonline_text(l, "text", slot->text, max_text);
    jsonline_end(l);
    jsonline_pad(l, EXITSLOT_SIZE - TRAILER);
}

int exitslot_write(int exit_fd, struct exitslot *slot, struct error *err)
{
    char out[EXITSLOT_SIZE];
    slot->utc_ms = clock_utc_ms();
    struct jsonline l = {.is_full = true};
    for (size_t max = EXITSLOT_TEXT_MAX; l.is_full && max > 0; max /= 2) {
        jsonline_init(&l, out, sizeof(out) - TRAILER); /* again: it grew by escapes */
        format_slot(&l, slot, max);
    }
    char digits[17];
    checksum(out, sizeof(out) - TRAILER, digits);
    out[sizeof(out) - TRAILER] = '#';
    memcpy(out + sizeof(out) - TRAILER + 1, digits, 16);
    out[sizeof(out) - 1] = '\n';
    if (fdio_pwrite_full(exit_fd, out, sizeof(out),
                         slot_offset(slot->attempt, slot->stage)) < 0 ||
        fdatasync(exit_fd) < 0) {
        return error_sys(err, "record the end of the %s stage", stage_names[slot->stage]);
    }
    return 0;
}

static void copy_text(char *out, size_t size, const char *s)
{
    snprintf(out, size, "%s", s != NULL ? s : "");
}

/* How the stage ended. False: the slot does not say it as a process can end. */
static bool parse_exit(const struct json *j, struct run_exit *out)
{
    return run_exit_from_json(j, out, NULL) == 0 && (KINDS & 1U << out->kind) != 0;
}

static bool parse_slot(const struct json *j, struct exitslot *out)
{
    *out = (struct exitslot){
        .attempt = json_integer(json_get(j, "attempt")),
        .stage = (enum stage)json_integer(json_get(j, "stage")),
        .start = (uint64_t)json_integer(json_get(j, "start")),
    };
    if (!parse_exit(j, &out->exit) ||
        json_get_time(j, "exit slot", "time", &out->utc_ms, NULL) < 0) {
        return false;
    }
    copy_text(out->by, sizeof(out->by), json_string(json_get(j, "by")));
    copy_text(out->step, sizeof(out->step), json_string(json_get(j, "step")));
    copy_text(out->text, sizeof(out->text), json_string(json_get(j, "text")));
    return true;
}

enum exitslot_state exitslot_read(int exit_fd, int64_t attempt, enum stage stage,
                                  struct exitslot *out)
{
    char slot[EXITSLOT_SIZE];
    ssize_t got =
        fdio_pread_full(exit_fd, slot, sizeof(slot), slot_offset(attempt, stage));
    if (got < 0) {
        return EXITSLOT_BAD;
    }
    size_t zeros = 0;
    while (zeros < (size_t)got && slot[zeros] == '\0') {
        zeros++;
    }
    if (zeros == (size_t)got) {
        return EXITSLOT_EMPTY;
    }
    if (got != EXITSLOT_SIZE) {
        return EXITSLOT_BAD;
    }
    char digits[17];
    checksum(slot, sizeof(slot) - TRAILER, digits);
    if (slot[sizeof(slot) - TRAILER] != '#' ||
        memcmp(digits, slot + sizeof(slot) - TRAILER + 1, 16) != 0) {
        return EXITSLOT_BAD;
    }
    size_t length = sizeof(slot) - TRAILER;
    CLEANUP_JSON struct json *j = json_parse(slot, length, NULL);
    return j != NULL && parse_slot(j, out) && out->attempt == attempt &&
                   out->stage == stage
               ? EXITSLOT_VALID
               : EXITSLOT_BAD;
}
