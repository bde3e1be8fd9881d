/*
 * queue: any bytes as a run's queue entry.
 *
 * What is read can be written in place, and then reads the same.
 */
#define _GNU_SOURCE /* memfd_create */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>

#include "executor/queue.h"

static void check_equal(const struct queue_entry *a, const struct queue_entry *b)
{
    assert(strcmp(a->run, b->run) == 0 && strcmp(a->executor, b->executor) == 0);
    assert(a->ticket == b->ticket && a->accepted_utc_ms == b->accepted_utc_ms);
    assert(a->priority == b->priority && a->slots == b->slots && a->gpus == b->gpus);
    assert(a->process.pid == b->process.pid && a->process.start == b->process.start);
    assert(strcmp(a->process.boot, b->process.boot) == 0);
    assert(a->process.pid == 0 || a->attempt == b->attempt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FD int fd = memfd_create("entry", MFD_CLOEXEC);
    struct error err = ERROR_INIT;
    struct queue_entry entry;
    struct queue_entry again;

    if (fd < 0 || fdio_write_full(fd, data, size) < 0) {
        mem_abort("fuzz: no memory file");
    }
    if (queue_read(fd, &entry, &err) < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
        return 0;
    }
    assert(entry.process.pid >= 0);
    if (queue_write(fd, &entry, NULL) < 0 || queue_read(fd, &again, NULL) < 0) {
        fuzz_fail("what was written cannot be read");
    }
    check_equal(&entry, &again);
    return 0;
}
