/*
 * packfile: any bytes as a pack file.
 *
 * The first byte: 0: the rest is the file; 1: a u16 and as many bytes of bodies, then
 * entries, around which the ends of a pack file are made as they must be. Every entry is
 * looked at, looked up, read and marked; what was marked is not found again.
 */
#include "tests/fuzz/fuzz.h"

#include "common/bytes.h"
#include "common/packfile.h"
#include "common/packfile_layout.h"

static void seal(struct fuzz_input *in, struct strbuf *file)
{
    struct fuzz_input bodies = fuzz_take(in, fuzz_u16(in));
    uint64_t index = PACKFILE_HEAD_SIZE + bodies.size;
    size_t count = in->size / PACKFILE_ENTRY_SIZE;
    uint8_t fan[PACKFILE_FAN_SIZE], tail[PACKFILE_TAIL_SIZE];

    for (size_t i = 0; i < PACKFILE_FAN; i++) {
        uint32_t up_to = 0;

        for (size_t entry = 0; entry < count; entry++) {
            up_to += in->data[entry * PACKFILE_ENTRY_SIZE] <= i;
        }
        bytes_put_u32(fan + 4 * i, up_to);
    }
    bytes_put_u64(tail, count);
    bytes_put_u64(tail + 8, index);
    memcpy(tail + 16, PACKFILE_MAGIC, PACKFILE_HEAD_SIZE);
    strbuf_puts(file, PACKFILE_MAGIC);
    (void)strbuf_add(file, bodies.data, bodies.size, NULL);
    (void)strbuf_add(file, in->data, count * PACKFILE_ENTRY_SIZE, NULL);
    (void)strbuf_add(file, fan, sizeof(fan), NULL);
    (void)strbuf_add(file, tail, sizeof(tail), NULL);
}

static int try_entry(void *context, const struct packfile_entry *entry, struct error *err)
{
    const struct packfile *pack = context;
    CLEANUP_STRBUF struct strbuf body;
    struct packfile_entry found;
    struct error why = ERROR_INIT;
    int result = packfile_find(pack, &entry->oid, &found, &why);

    if (result < 0) {
        fuzz_check_error(&why);
    }
    if (result > 0 && (!oid_equal(&found.oid, &entry->oid) || found.is_bad)) {
        fuzz_fail("another entry was found");
    }
    strbuf_init(&body, PACKFILE_BODY_MAX);
    if (packfile_read(pack, entry, &body, &why) < 0) {
        fuzz_check_error(&why);
    } else if (body.length != entry->length) {
        fuzz_fail("not as many bytes as the entry says");
    }
    if (result > 0 && packfile_mark_bad(pack, &found, err) == 0 &&
        packfile_find(pack, &entry->oid, &found, &why) == 1 && found.is_bad) {
        fuzz_fail("a bad entry was found");
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    bool is_sealed = fuzz_byte(&in) == 1;
    CLEANUP_STRBUF struct strbuf file;
    CLEANUP_FREE char *folder = NULL;
    CLEANUP(packfile_cleanup) struct packfile *pack = NULL;
    struct error err = ERROR_INIT;

    strbuf_init(&file, (size_t)1 << 24);
    if (is_sealed) {
        seal(&in, &file);
    } else {
        (void)strbuf_add(&file, in.data, in.size, NULL);
    }
    folder = fuzz_folder();
    CLEANUP_FD int fd = files_open_dir(AT_FDCWD, folder, NULL);

    fuzz_write(fd, "pack", file.data, file.length);
    pack = packfile_open(fd, "pack", &err);
    if (!pack || packfile_visit(pack, try_entry, pack, &err) < 0) {
        fuzz_check_error(&err);
    }
    fuzz_folder_remove(TAKE_PTR(folder));
    return 0;
}
