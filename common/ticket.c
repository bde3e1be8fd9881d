#define _GNU_SOURCE /* strptime */
#include "common/ticket.h"

#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/subprocess.h"

#define KLIST_MAX ((size_t)64 << 10)
#define KLIST_MS 2000
#define LONG_MS ((int64_t)24 * 3600 * 1000) /* of a ticket, where no limit is known */

/* MIT: "11/28/26 13:10:46  11/28/26 14:10:46  krbtgt/R@R"; Heimdal: "Nov 28 13:10:46 2026
 * Nov 28 14:10:46 2026  krbtgt/R@R". */
static bool read_end(const char *line, int64_t *out_end_utc_ms)
{
    static const char *const formats[] = {" %m/%d/%y %H:%M:%S", " %m/%d/%Y %H:%M:%S",
                                          " %b %d %H:%M:%S %Y"};
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        struct tm begin = {.tm_isdst = -1};
        struct tm end = {.tm_isdst = -1};
        const char *rest = strptime(line, formats[i], &begin);
        rest = rest != NULL ? strptime(rest, formats[i], &end) : NULL;
        if (rest != NULL && strncmp(rest + strspn(rest, " "), "krbtgt/", 7) == 0) {
            end.tm_isdst = -1;
            *out_end_utc_ms = (int64_t)mktime(&end) * 1000;
            return true;
        }
    }
    return false;
}

bool ticket_read(const char *klist, int64_t *out_end_utc_ms)
{
    for (const char *line = klist; line != NULL && *line != '\0';) {
        if (read_end(line, out_end_utc_ms)) {
            return true;
        }
        const char *newline = strchr(line, '\n');
        line = newline != NULL ? newline + 1 : NULL;
    }
    return false;
}

bool ticket_warn(int64_t time_limit_ms, struct strbuf *out)
{
    static const char *const argv[] = {"env", "LC_ALL=C", "klist", NULL};
    char left[CLOCK_TEXT_SIZE];
    struct strbuf said;
    int status = 0;
    int64_t end_utc_ms = 0;
    strbuf_init(&said, KLIST_MAX);
    bool is_known = subprocess_capture(argv, &said, NULL, KLIST_MS, &status, NULL) == 0 &&
                    status == 0 && ticket_read(said.data, &end_utc_ms);
    strbuf_release(&said);
    int64_t left_ms = end_utc_ms - clock_utc_ms();
    if (!is_known || left_ms <= 0 ||
        left_ms >= (time_limit_ms > 0 ? time_limit_ms : LONG_MS)) {
        return false;
    }
    clock_format_duration(left, left_ms);
    strbuf_printf(
        out,
        "warning: the Kerberos ticket ends in %s; what goes on for longer is not "
        "seen from then on, until there is another (kinit)",
        left);
    return true;
}
