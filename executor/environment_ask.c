#include "executor/environment_ask.h"

#include <stdio.h>
#include <string.h>

#include "common/subprocess.h"

#define ANSWER_MAX ((size_t)64 << 10)
#define TIMEOUT_MS 10000

/* Interpreters answer on one line: version, implementation, platform, C library, pip of
 * ensurepip, and last their own path; that of the base where they are a virtual
 * environment's. Python 3.6 and later. */
static const char question[] =
    "import sys,os,sysconfig\n"
    "def libc():\n"
    "    try:\n"
    "        return os.confstr('CS_GNU_LIBC_VERSION').replace(' ','-')\n"
    "    except (ValueError,AttributeError,OSError):\n"
    "        return 'musl'\n"
    "def pip():\n"
    "    try:\n"
    "        import venv,ensurepip\n"
    "        return ensurepip.version()\n"
    "    except Exception:\n"
    "        return ''\n"
    "v=sys.version_info\n"
    "e=sys.executable\n"
    "if sys.prefix!=sys.base_prefix:\n"
    "    b=os.path.join(sys.base_prefix,'bin','python%d.%d'%v[:2])\n"
    "    e=getattr(sys,'_base_executable','') or e\n"
    "    e=b if e==sys.executable else e\n"
    "r={'alpha':'a','beta':'b','candidate':'rc'}.get(v[3])\n"
    "print('\\t'.join(['%d.%d.%d'%v[:3]+('%s%d'%(r,v[4]) if r else ''),"
    "sys.implementation.name,sysconfig.get_platform(),libc(),pip(),"
    "os.path.realpath(e)]))\n";

/* Of a line of tabs. False: it is no interpreter's answer. */
static bool take_python(struct tool *tool, char *answer)
{
    char *fields[6];
    size_t count = 0;
    answer[strcspn(answer, "\n")] = '\0';
    for (char *at = answer; at != NULL && count < ARRAY_SIZE(fields); count++) {
        char *tab = strchr(at, '\t');
        fields[count] = at;
        if (tab != NULL) {
            *tab++ = '\0';
        }
        at = tab;
    }
    if (count != ARRAY_SIZE(fields) || fields[5][0] != '/') {
        return false;
    }
    snprintf(tool->version, sizeof(tool->version), "%s", fields[0]);
    for (size_t i = 0; i < ARRAY_SIZE(tool->detail); i++) {
        snprintf(tool->detail[i], sizeof(tool->detail[i]), "%s", fields[i + 1]);
    }
    tool->real = xstrdup(fields[5]);
    return true;
}

/* "uv 0.5.1 (...)": the first word that begins with a digit. */
static bool take_version(struct tool *tool, char *answer)
{
    char *rest = NULL;
    for (char *word = strtok_r(answer, " \t\n,", &rest); word != NULL;
         word = strtok_r(NULL, " \t\n,", &rest)) {
        if (word[0] >= '0' && word[0] <= '9') {
            snprintf(tool->version, sizeof(tool->version), "%s", word);
            tool->real = xstrdup(tool->path);
            return true;
        }
    }
    return false;
}

/* Its words, where it ended well. Errors: ERR_CANCELED. */
static int hear(const char *const *argv, int stop_fd, struct strbuf *answer,
                struct error *err)
{
    struct subprocess sp;
    int status = 0;
    if (subprocess_capture_start(&sp, argv, false, err) < 0) {
        return -1;
    }
    sp.stop_fd = stop_fd;
    sp.has_stop = stop_fd >= 0;
    return subprocess_capture_finish(&sp, answer, NULL, TIMEOUT_MS, &status, err) < 0 ? -1
           : status == 0
               ? 0
               : error_set(err, ERR_SPAWN, "%s does not say what it is", argv[0]);
}

int environment_ask(struct tool *tool, int stop_fd)
{
    bool is_python = tool->sort == TOOL_PYTHON;
    const char *const argv[] = {tool->path, is_python ? "-I" : "--version",
                                is_python ? "-c" : NULL, question, NULL};
    struct strbuf answer;
    struct error why = ERROR_INIT;
    strbuf_init(&answer, ANSWER_MAX);
    bool has_answered = hear(argv, stop_fd, &answer, &why) == 0;
    bool was_stopped = !has_answered && why.code == ERR_CANCELED;
    if (!was_stopped) {
        tool->is_usable = has_answered && (is_python ? take_python(tool, answer.data)
                                                     : take_version(tool, answer.data));
        tool->is_known = true;
    }
    strbuf_release(&answer);
    return was_stopped ? -1 : 0;
}
