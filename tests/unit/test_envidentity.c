/*
 * Over generated projects: what means the same has one identity, whatever its order,
 * names, comments, spelling and credentials; each change of what is installed has
 * another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "controller/requirements.h"
#include "tests/unit/scratch.h"

#define PROJECTS 60
#define LINES_MAX 12

/* A generator of our own: the same numbers on every machine. */
struct dice {
    uint64_t state;
};

static unsigned roll(struct dice *dice, unsigned sides)
{
    dice->state =
        dice->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice->state >> 33) % sides;
}

/* What a generated project needs, in numbers. */
struct need {
    struct line {
        unsigned name, version, operator, extra, marker;
        bool is_constraint;
    } lines[LINES_MAX];
    unsigned count;
    unsigned wheel;  /* its content, 0: none */
    unsigned index;  /* 0: none */
    unsigned binary; /* 0: nothing is said */
    unsigned python; /* 0: nothing is said */
};

static void make_need(struct dice *dice, struct need *need)
{
    *need = (struct need){.count = 1 + roll(dice, LINES_MAX - 1),
                          .wheel = roll(dice, 3),
                          .index = roll(dice, 3),
                          .binary = roll(dice, 3),
                          .python = roll(dice, 3)};
    for (unsigned i = 0; i < need->count; i++) {
        need->lines[i] = (struct line){.name = i,
                                       .version = roll(dice, 20),
                                       .operator= roll(dice, 3),
                                       .extra = roll(dice, 3),
                                       .marker = roll(dice, 3),
                                       .is_constraint = roll(dice, 4) == 0};
    }
}

static const char *const operators[] = {"==", ">=", "~="};
static const char *const extras[] = {"", "[One]", "[two, one]"};
static const char *const markers[] = {"", "python_version<'3.9'",
                                      "(sys_platform=='linux'or os_name == \"nt\")"};

/* "Some_Package.7" as somebody may write it. */
static void put_name(struct dice *dice, unsigned number, struct strbuf *out)
{
    static const char *const joints[] = {"-", "_", ".", "--"};

    strbuf_printf(out, "%s%s%s%s%u", roll(dice, 2) ? "some" : "SOME",
                  joints[roll(dice, 4)], roll(dice, 2) ? "Package" : "package",
                  joints[roll(dice, 4)], number);
}

static void put_blanks(struct dice *dice, struct strbuf *out)
{
    static const char *const blanks[] = {"", " ", "  ", "\t", " \\\n  "};

    strbuf_puts(out, blanks[roll(dice, 5)]);
}

static void put_line(struct dice *dice, const struct line *line, struct strbuf *out)
{
    put_name(dice, line->name, out);
    put_blanks(dice, out);
    strbuf_puts(out, line->is_constraint ? "" : extras[line->extra]);
    put_blanks(dice, out);
    strbuf_puts(out, operators[line->operator]);
    put_blanks(dice, out);
    switch (roll(dice, 3)) {
    case 0:
        strbuf_printf(out, "%u.2", line->version);
        break;
    case 1:
        strbuf_printf(out, "v%u.2", line->version);
        break;
    default:
        strbuf_printf(out, "%u.02", line->version);
    }
    if (line->marker > 0) {
        put_blanks(dice, out);
        strbuf_printf(out, ";%s%s", roll(dice, 2) ? " " : "", markers[line->marker]);
    }
    strbuf_puts(out, roll(dice, 3) == 0 ? "  # why\n" : "\n");
    strbuf_puts(out, roll(dice, 4) == 0 ? "\n# a remark\n" : "");
}

/* The lines of one kind, in some order, some of them twice. */
static void put_lines(struct dice *dice, const struct need *need, bool is_constraint,
                      struct strbuf *out)
{
    unsigned order[LINES_MAX];

    for (unsigned i = 0; i < need->count; i++) {
        unsigned k = roll(dice, i + 1);

        order[i] = order[k];
        order[k] = i;
    }
    for (unsigned i = 0; i < need->count; i++) {
        const struct line *line = &need->lines[order[i]];

        if (line->is_constraint == is_constraint) {
            put_line(dice, line, out);
            if (roll(dice, 5) == 0) {
                put_line(dice, line, out);
            }
        }
    }
}

static void put_options(struct dice *dice, const struct need *need, struct strbuf *out)
{
    static const char *const users[] = {"", "me:password@", "${TOKEN}@", "x@"};

    if (need->index > 0) {
        strbuf_printf(out, "%s https://%shost%u/simple\n",
                      roll(dice, 2) ? "-i" : "--index-url", users[roll(dice, 4)],
                      need->index);
    }
    if (need->binary > 0) {
        strbuf_printf(out, "--no-binary%sFoo_Bar%u\n", roll(dice, 2) ? "=" : " ",
                      need->binary);
    }
}

/* Write the need down in one of many ways, read it, and say what its identity is. */
static struct oid identity_of(struct dice *dice, const struct need *need)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_REQUIREMENTS struct requirements r;
    CLEANUP_ENVSPEC struct envspec spec;
    CLEANUP_STRVEC struct strvec secrets = STRVEC_INIT;
    CLEANUP_STRBUF struct strbuf list = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf pins = STRBUF_INIT;
    const char *folder = roll(dice, 2) ? "dist" : "wheels";
    CLEANUP_FREE char *name = xasprintf("list%u.txt", roll(dice, 100));
    CLEANUP_FREE char *path = scratch_path(s, name);
    struct error err = ERROR_INIT;
    struct oid digest;

    scratch_mkdir(s, folder);
    scratch_write(s, need->wheel > 0 && roll(dice, 2) ? "x" : "y", "");
    CLEANUP_FREE char *wheel = xasprintf("%s/a-1-py3-none-any.whl", folder);
    scratch_write(s, wheel, "");
    put_lines(dice, need, true, &pins);
    scratch_write(s, "pins.txt", pins.data);
    if (roll(dice, 2)) {
        put_options(dice, need, &list);
    }
    strbuf_puts(&list, "-c pins.txt\n");
    put_lines(dice, need, false, &list);
    if (need->wheel > 0) {
        strbuf_printf(&list, "%s%s\n", roll(dice, 2) ? "./" : "", wheel);
    }
    if (strstr(list.data, "--no-binary") == NULL && strstr(list.data, "https") == NULL) {
        put_options(dice, need, &list);
    }
    scratch_write(s, name, list.data);
    strvec_push(&secrets, "TOKEN");
    envspec_init(&spec);
    assert_int_equal(requirements_init(&r, s->path, NULL, &secrets, &spec, NULL), 0);
    if (requirements_file(&r, path, false, &err) < 0 ||
        requirements_finish(&r, &err) < 0) {
        fail_msg("%s\n%s", err.text, list.data);
    }
    for (size_t i = 0; i < spec.requirements.count; i++) {
        if (spec.requirements.items[i].text == NULL) {
            memset(&spec.requirements.items[i].digest, (int)need->wheel, OID_SIZE);
        }
    }
    spec.python = need->python > 0 ? xasprintf("==3.%u.*", need->python) : NULL;
    spec.source = xstrdup(name);
    envspec_normalize(&spec);
    envspec_digest(&spec, &digest);
    return digest;
}

static void what_means_the_same_has_one_identity(void **state)
{
    struct dice dice = {.state = 1};

    (void)state;
    for (unsigned i = 0; i < PROJECTS; i++) {
        struct need need;
        struct oid first;

        make_need(&dice, &need);
        first = identity_of(&dice, &need);
        for (unsigned k = 0; k < 4; k++) {
            struct oid again = identity_of(&dice, &need);

            assert_true(oid_equal(&first, &again));
        }
    }
}

/* Change one thing that decides what is installed. False: there is no such change. */
static bool change(struct need *need, unsigned which, unsigned line)
{
    switch (which) {
    case 0:
        need->lines[line].version++;
        return true;
    case 1:
        need->lines[line].operator=(need->lines[line].operator+ 1) % 3;
        return true;
    case 2:
        need->lines[line].extra = (need->lines[line].extra + 1) % 3;
        return !need->lines[line].is_constraint;
    case 3:
        need->lines[line].marker = (need->lines[line].marker + 1) % 3;
        return true;
    case 4:
        need->lines[line].name = LINES_MAX + 1;
        return true;
    case 5:
        need->lines[line].is_constraint = !need->lines[line].is_constraint;
        return true;
    case 6:
        need->lines[line] = need->lines[--need->count];
        return true;
    case 7:
        need->wheel++;
        return true;
    case 8:
        need->index++;
        return true;
    case 9:
        need->binary++;
        return true;
    case 10:
        need->python++;
        return true;
    default:
        return false;
    }
}

static void each_relevant_change_has_another_identity(void **state)
{
    struct dice dice = {.state = 2};

    (void)state;
    for (unsigned i = 0; i < PROJECTS; i++) {
        struct need need;
        struct oid before;

        make_need(&dice, &need);
        before = identity_of(&dice, &need);
        for (unsigned which = 0; which <= 10; which++) {
            struct need changed = need;
            struct oid after;

            if (!change(&changed, which, roll(&dice, need.count))) {
                continue;
            }
            after = identity_of(&dice, &changed);
            if (oid_equal(&before, &after)) {
                fail_msg("project %u: change %u is not in the identity", i, which);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_means_the_same_has_one_identity),
        cmocka_unit_test(each_relevant_change_has_another_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
