/*
 * exitslot: any bytes as a run's exit slots.
 *
 * The first byte: 0: the rest is the file; 1: the rest is the text of the first slot,
 * which gets its padding and its right checksum. What is valid is what was written:
 * written once more it reads the same.
 */
#define _GNU_SOURCE /* memfd_create */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>

#include "common/bytes.h"
#include "common/oid.h"
#include "executor/exitslot.h"

#define TRAILER 18

static void seal(struct fuzz_input text, char out[EXITSLOT_SIZE])
{
    struct oid digest;
    char digits[17];

    text = fuzz_take(&text, EXITSLOT_SIZE - TRAILER);
    memset(out, ' ', EXITSLOT_SIZE);
    if (text.size > 0) {
        memcpy(out, text.data, text.size);
    }
    oid_of_bytes(out, EXITSLOT_SIZE - TRAILER, &digest);
    bytes_to_hex(digits, digest.digest, 8);
    out[EXITSLOT_SIZE - TRAILER] = '#';
    memcpy(out + EXITSLOT_SIZE - TRAILER + 1, digits, 16);
    out[EXITSLOT_SIZE - 1] = '\n';
}

static void check(int fd, const struct exitslot *slot)
{
    struct exitslot written = *slot;
    struct exitslot again;

    assert(slot->exit.kind == RUN_EXIT_EXITED || slot->exit.kind == RUN_EXIT_SIGNALED ||
           slot->exit.kind == RUN_EXIT_COULD_NOT_START);
    /* A wait status can say nothing else. */
    assert(slot->exit.code >= 0 && slot->exit.code <= 255 && slot->exit.signal >= 0);
    if (slot->exit.kind == RUN_EXIT_SIGNALED && slot->exit.signal == 0) {
        return; /* a signal of another platform: no name to write */
    }
    if (exitslot_write(fd, &written, NULL) < 0 ||
        exitslot_read(fd, slot->attempt, slot->stage, &again) != EXITSLOT_VALID) {
        fuzz_fail("what was written is not valid");
    }
    assert(again.exit.kind == slot->exit.kind && again.exit.code == slot->exit.code &&
           again.exit.signal == slot->exit.signal);
    assert(again.start == slot->start && strcmp(again.by, slot->by) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    CLEANUP_FD int fd = memfd_create("exit", MFD_CLOEXEC);
    char sealed[EXITSLOT_SIZE];
    struct exitslot slot;

    if (fuzz_byte(&in) == 1) {
        seal(in, sealed);
        in = (struct fuzz_input){.data = (const uint8_t *)sealed, .size = EXITSLOT_SIZE};
    }
    if (fd < 0 || fdio_write_full(fd, in.data, in.size) < 0) {
        mem_abort("fuzz: no memory file");
    }
    for (int64_t attempt = 1; attempt <= 2; attempt++) {
        for (int stage = STAGE_PREPARE; stage <= STAGE_FINALIZE; stage++) {
            if (exitslot_read(fd, attempt, (enum stage)stage, &slot) == EXITSLOT_VALID) {
                check(fd, &slot);
            }
        }
    }
    return 0;
}
