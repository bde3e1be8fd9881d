/*
 * outputs: any bytes as a run's outputs.index.
 *
 * The first byte: 0: the rest is the file; 1: the rest are entries and paths, by 16 bits
 * how many entries, and get their right head. What is given is what was asked for: its
 * name is that of its bytes.
 */
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "common/bytes.h"
#include "executor/outputs.h"
#include "executor/outputs_index.h"

static const char objects[] = "link targets and trees, one behind another";
static const char content[] = "what the script left";

static void make_index(struct fuzz_input in, struct strbuf *out)
{
    uint8_t head[OUTPUTS_HEAD_SIZE] = OUTPUTS_INDEX_MAGIC;
    size_t most = (in.size - (in.size > 1 ? 2 : in.size)) / OUTPUTS_ENTRY_SIZE;
    size_t count = fuzz_u16(&in);

    count = count < most ? count : most;
    bytes_put_u64(head + 8, count);
    bytes_put_u64(head + 16, in.size - count * OUTPUTS_ENTRY_SIZE);
    (void)strbuf_add(out, head, sizeof(head), NULL);
    (void)strbuf_add(out, in.data, in.size, NULL);
}

static void make_run(int fd, const struct strbuf *index)
{
    if (mkdirat(fd, "work", 0700) < 0 || mkdirat(fd, "work/outputs", 0700) < 0 ||
        symlinkat("/etc/hostname", fd, "work/outputs/link") < 0) {
        mem_abort("fuzz: no folder");
    }
    fuzz_write(fd, "outputs.json", "{}", 2);
    fuzz_write(fd, "outputs.objects", objects, sizeof(objects) - 1);
    fuzz_write(fd, "work/outputs/file", content, sizeof(content) - 1);
    fuzz_write(fd, "outputs.index", index->data, index->length);
}

static void get(struct object_source *source, enum object_kind kind, const uint8_t *name)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct oid oid, again;

    memcpy(oid.digest, name, OID_SIZE);
    if (source->get(source->context, kind, &oid, &body, &err) < 0) {
        fuzz_check_error(&err);
        return;
    }
    assert(body.length <= OBJECT_SIZE_MAX);
    oid_of(kind, body.data, body.length, &again);
    assert(oid_equal(&oid, &again) && source->has(source->context, kind, &oid));
}

/* Ask for all that the index may name, and for what it does not. */
static void get_all(int run_fd, const struct strbuf *index)
{
    static const uint8_t nothing[OID_SIZE];
    CLEANUP(outputs_reader_cleanup) struct outputs_reader *reader = NULL;
    struct object_source source;
    struct error err = ERROR_INIT;

    reader = outputs_open(run_fd, &err);
    if (reader == NULL) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CORRUPT);
        return;
    }
    source = outputs_source(reader);
    get(&source, OBJECT_TREE, nothing);
    for (size_t at = OUTPUTS_HEAD_SIZE; at + OUTPUTS_ENTRY_SIZE <= index->length;
         at += OUTPUTS_ENTRY_SIZE) {
        get(&source, OBJECT_CONTENT, (const uint8_t *)index->data + at);
        get(&source, OBJECT_TREE, (const uint8_t *)index->data + at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    CLEANUP_STRBUF struct strbuf index = STRBUF_INIT;
    char *path = fuzz_folder();
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        mem_abort("fuzz: no folder");
    }
    if (fuzz_byte(&in) == 1) {
        make_index(in, &index);
    } else {
        (void)strbuf_add(&index, in.data, in.size, NULL);
    }
    make_run(fd, &index);
    get_all(fd, &index);
    fuzz_folder_remove(path);
    return 0;
}
