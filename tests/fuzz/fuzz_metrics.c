/*
 * metrics: any bytes as what a script wrote. Every value that is told has a name and is
 * of a kind that the header knows, can be written for people in the room that callers
 * give it, and reads back from JSON the same; nothing is told twice; a line that is none
 * is counted with its number and a reason. Cut in two generations between any two lines,
 * the values are the same.
 */
#include "tests/fuzz/fuzz.h"

#include "controller/metrics.h"

#define RUN "abcd"
#define FOLDER "state/runs/" RUN
#define FORMAT_MAX (16 * METRICS_LINE_MAX)

struct told {
    uint64_t values;
    struct strbuf text; /* of all, for comparison */
};

static void check_kind(const struct json *value)
{
    assert(json_is_number(value) || json_is_string(value) || json_is_bool(value) ||
           json_is_object(value));
}

static int tell(void *context, const struct metric_value *value, struct error *err)
{
    struct told *told = context;
    CLEANUP_STRBUF struct strbuf people, written, again;
    (void)err;
    strbuf_init(&people, FORMAT_MAX);
    strbuf_init(&written, FORMAT_MAX);
    strbuf_init(&again, FORMAT_MAX);
    assert(value->name[0] != '\0' && strlen(value->name) <= METRICS_NAME_MAX);
    assert(strcmp(value->name, "step") != 0);
    check_kind(value->value);
    metrics_format(value->value, &people);
    json_write(value->value, false, &written);
    CLEANUP_JSON struct json *back = json_parse(written.data, written.length, NULL);
    if (back == NULL) {
        fuzz_fail("fuzz: a value that is no JSON");
    }
    json_write(back, false, &again);
    assert(strcmp(written.data, again.data) == 0);
    told->values++;
    strbuf_printf(&told->text, "%s %d %lld ", value->name, value->has_step,
                  (long long)value->step);
    strbuf_add(&told->text, written.data, written.length, NULL);
    strbuf_putc(&told->text, '\n');
    return 0;
}

static void read_all(const struct home *home, struct told *told,
                     struct metrics_unread *unread)
{
    strbuf_init(&told->text, (size_t)1 << 30);
    if (metrics_read(home, RUN, 0, tell, told, unread, NULL) != 0) {
        fuzz_fail("fuzz: the file was not read");
    }
    if (unread->lines > 0) {
        fuzz_check_error(&unread->first);
        assert(unread->first_line > 0);
    }
}

/* Where the input may be cut: behind one of its newlines, or at its end. */
static size_t cut_of(const struct fuzz_input *in, unsigned wish)
{
    size_t start = in->size > 0 ? wish % in->size : 0;
    const uint8_t *end =
        in->size > 0 ? memchr(in->data + start, '\n', in->size - start) : NULL;
    return end != NULL ? (size_t)(end + 1 - in->data) : in->size;
}

static void check_sum(const struct home *home, const struct told *told)
{
    CLEANUP(metrics_release) struct metrics metrics = {.items = NULL};
    struct metrics_unread unread = {0};
    uint64_t count = 0;
    assert(metrics_read(home, RUN, 0, metrics_sum_up, &metrics, &unread, NULL) == 0);
    assert(metrics.count <= METRICS_NAMES_MAX);
    for (size_t i = 0; i < metrics.count; i++) {
        const struct metric *m = &metrics.items[i];
        assert(m->count > 0 && (!m->has_range || m->min <= m->max));
        check_kind(m->latest);
        count += m->count;
    }
    assert(count + metrics.left_out == told->values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    unsigned wish = fuzz_u16(&in);
    char *folder = fuzz_folder();
    CLEANUP_FREE char *state = xasprintf("%s/state", folder);
    CLEANUP_FREE char *runs = xasprintf("%s/" FOLDER, folder);
    CLEANUP_FREE char *first = xasprintf("%s/metrics", runs);
    CLEANUP_FREE char *second = xasprintf("%s/metrics.1", runs);
    const struct home home = {.state = state};
    struct told whole = {.values = 0}, cut = {.values = 0};
    struct metrics_unread unread = {0}, unread_cut = {0};
    size_t at = cut_of(&in, wish);

    if (files_make_dirs(runs, NULL) != 0) {
        fuzz_fail("fuzz: no folder");
    }
    fuzz_write(AT_FDCWD, first, in.data, in.size);
    read_all(&home, &whole, &unread);
    check_sum(&home, &whole);
    fuzz_write(AT_FDCWD, first, in.data, at);
    fuzz_write(AT_FDCWD, second, in.data + at, in.size - at);
    read_all(&home, &cut, &unread_cut);
    assert(whole.values == cut.values && unread.lines == unread_cut.lines);
    assert(strcmp(whole.text.data, cut.text.data) == 0);
    strbuf_release(&whole.text);
    strbuf_release(&cut.text);
    fuzz_folder_remove(folder);
    return 0;
}
