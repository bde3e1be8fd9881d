#include "common/pep440.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define PARTS_MAX 6
#define FINAL_STAGE 3

struct version {
    long parts[PARTS_MAX];
    int count;
    int stage; /* 0 a, 1 b, 2 rc, FINAL_STAGE */
    long stage_number;
    const char *end; /* behind it */
};

static bool take_number(const char **at, long *out)
{
    char *end;
    if (!isdigit((unsigned char)**at)) {
        return false;
    }
    *out = strtol(*at, &end, 10);
    *at = end;
    return true;
}

static void take_stage(struct version *v)
{
    static const char *const stages[] = {"a", "b", "rc"};
    for (int i = 0; i < FINAL_STAGE; i++) {
        size_t length = strlen(stages[i]);
        const char *at = v->end + length;
        if (strncmp(v->end, stages[i], length) == 0 &&
            take_number(&at, &v->stage_number)) {
            v->stage = i;
            v->end = at;
            return;
        }
    }
}

static struct version parse(const char *text)
{
    struct version v = {.stage = FINAL_STAGE, .end = text};
    while (v.count < PARTS_MAX && take_number(&v.end, &v.parts[v.count])) {
        v.count++;
        if (v.end[0] != '.' || !isdigit((unsigned char)v.end[1])) {
            break;
        }
        v.end++;
    }
    take_stage(&v);
    return v;
}

static int sign(long a, long b)
{
    return (a > b) - (a < b);
}

/* count: so many parts of the release; what is not there is 0. */
static int compare_parts(const struct version *a, const struct version *b, int count)
{
    for (int i = 0; i < count; i++) {
        if (a->parts[i] != b->parts[i]) {
            return sign(a->parts[i], b->parts[i]);
        }
    }
    return 0;
}

static int compare(const struct version *a, const struct version *b)
{
    int order = compare_parts(a, b, PARTS_MAX);
    order = order != 0 ? order : sign(a->stage, b->stage);
    return order != 0 ? order : sign(a->stage_number, b->stage_number);
}

int pep440_compare(const char *a, const char *b)
{
    const struct version left = parse(a);
    const struct version right = parse(b);
    return compare(&left, &right);
}

bool pep440_is_early(const char *version)
{
    return parse(version).stage != FINAL_STAGE;
}

enum sign_of_specifier { EQUAL, NOT_EQUAL, AT_LEAST, AT_MOST, COMPATIBLE, BELOW, ABOVE };

static const struct {
    const char *text;
    enum sign_of_specifier sign;
} signs[] = {{"===", EQUAL},  {"==", EQUAL},      {"!=", NOT_EQUAL}, {">=", AT_LEAST},
             {"<=", AT_MOST}, {"~=", COMPATIBLE}, {"<", BELOW},      {">", ABOVE}};

/* "<3.13" does not take 3.13.0rc1 either (PEP 440, exclusive ordered comparison). */
static bool is_below(const struct version *v, const struct version *limit)
{
    return compare(v, limit) < 0 &&
           (limit->stage != FINAL_STAGE || compare_parts(v, limit, PARTS_MAX) != 0);
}

static bool fits(const struct version *v, enum sign_of_specifier sign,
                 const struct version *limit, bool has_star)
{
    bool is_equal =
        has_star ? compare_parts(v, limit, limit->count) == 0 : compare(v, limit) == 0;
    switch (sign) {
    case EQUAL:
        return is_equal;
    case NOT_EQUAL:
        return !is_equal;
    case AT_LEAST:
        return compare(v, limit) >= 0;
    case AT_MOST:
        return compare(v, limit) <= 0;
    case COMPATIBLE:
        return compare(v, limit) >= 0 && compare_parts(v, limit, limit->count - 1) == 0;
    case BELOW:
        return is_below(v, limit);
    case ABOVE:
        return compare(v, limit) > 0;
    }
    return false;
}

/* One specifier; *at moves behind it. */
static bool fits_one(const struct version *v, const char **at)
{
    for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
        size_t length = strlen(signs[i].text);
        if (strncmp(*at, signs[i].text, length) != 0) {
            continue;
        }
        *at += length;
        *at += strspn(*at, " ");
        const struct version limit = parse(*at);
        bool has_star = strncmp(limit.end, ".*", 2) == 0;
        *at = limit.end + (has_star ? 2 : 0);
        *at += strspn(*at, " ");
        return limit.count > 0 && fits(v, signs[i].sign, &limit, has_star);
    }
    return false;
}

bool pep440_fits(const char *version, const char *specifiers)
{
    const struct version v = parse(version);
    const char *at = specifiers + strspn(specifiers, " ");
    while (*at != '\0') {
        if (!fits_one(&v, &at) || (*at != '\0' && *at != ',')) {
            return false;
        }
        at += *at == ',';
        at += strspn(at, " ");
    }
    return true;
}

size_t pep440_series(const char *version)
{
    size_t major = strcspn(version, ".");
    return version[major] == '\0' ? major : major + 1 + strcspn(version + major + 1, ".");
}

bool pep440_same_series(const char *a, const char *b)
{
    size_t length = pep440_series(a);
    return length == pep440_series(b) && strncmp(a, b, length) == 0;
}
