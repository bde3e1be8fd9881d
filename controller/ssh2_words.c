#include "controller/ssh2_words.h"

#include "common/clock.h"
#include "controller/terminal.h"

#include <errno.h>
#include <string.h>

const char *ssh2_hint_of_connect(int code)
{
    static const struct {
        int code;
        const char *hint;
    } hints[] = {
        {0, "check the host's name (errand target list) and this machine's network"},
        {ECONNREFUSED, "is sshd running there, and is the port right?"},
        {EHOSTUNREACH, "is the machine up and the network right?"},
        {ENETUNREACH, "is this machine's network up?"},
        {ETIMEDOUT, "is the machine up, and does a firewall let the port through?"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
        if (hints[i].code == code) {
            return hints[i].hint;
        }
    }
    return NULL;
}

const char *ssh2_hint_of_cause(enum ssh2_cause cause)
{
    static const char *const hints[] = {
        [SSH2_CAUSE_OTHER] = NULL,
        [SSH2_CAUSE_ALGORITHMS] =
            "the built-in transport lacks them: set the target's transport to openssh",
        [SSH2_CAUSE_CLOSED] = "does the server want this address? Its log says more",
        [SSH2_CAUSE_FULL] = "too many log in there at once (MaxStartups in its "
                            "sshd_config), or it does not want this address",
        [SSH2_CAUSE_LATE] = "the port is open: is it the right one, or is the machine "
                            "overloaded? `login_timeout` in config.yaml sets how long "
                            "errand waits",
        [SSH2_CAUSE_BABBLE] = "is it the right port?",
        [SSH2_CAUSE_SSH_1] = "nothing speaks that any more, because it is broken: is it "
                             "the right port? Else the server has to be upgraded",
        [SSH2_CAUSE_EXPELLED] =
            "too many keys were offered? Name the right one with --identity FILE",
        [SSH2_CAUSE_UNREADABLE] = "a banner of more than 35 KB? Set the target's "
                                  "transport to openssh",
        [SSH2_CAUSE_REFUSED] = NULL,
        [SSH2_CAUSE_NO_SESSION] =
            "the account may only forward ports (MaxSessions 0 in its sshd_config)? Ask "
            "the administrator",
    };
    return hints[cause];
}

void ssh2_append_said(struct ssh2_session *session, const char *noise, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
    if (session != NULL) {
        const struct strbuf *words = ssh2_session_stderr(session);
        size_t end = words->length;
        while (end > 0 && strchr("\r\n", words->data[end - 1]) != NULL) {
            end--;
        }
        size_t start = end;
        while (start > 0 && words->data[start - 1] != '\n') {
            start--;
        }
        terminal_make_safe(words->data + start, end - start, &safe);
    }
    const char *said = safe.length > 0 ? safe.data : noise;
    if (said != NULL && said[0] != '\0') {
        strbuf_printf(out, "; it said: %s", said);
    }
}

int ssh2_explain_late(const char *where, int64_t late_ms, const char *said,
                      const char *by_hand, struct error *err)
{
    char waited[CLOCK_TEXT_SIZE];
    clock_format_duration(waited, late_ms);
    error_set(err, ERR_TIMED_OUT,
              "%s: start: logged in, but no executor begins after %s%s", where, waited,
              said);
    return error_hint(err, "by hand: %s echo ok", by_hand);
}
