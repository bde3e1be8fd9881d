#include "executor/environment_explain.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/explain.h"
#include "common/mem.h"
#include "common/strbuf.h"

#define LAST_WORDS_MAX 400
#define HINT_BUILD                                                                       \
    "change `python` or the version so that a wheel serves, or install what its build "  \
    "needs (see the build log)"
#define HINT_SPACE                                                                       \
    "free some of it (errand gc --target, or old environments: errand env remove)"
#define HINT_HASH                                                                        \
    "make the hashes anew if that is right; else somebody changed the package"
#define HINT_HASHES "add hashes to every requirement (errand env lock), or drop them all"
#define HINT_CERTIFICATE                                                                 \
    "install its authority on the node, or name its file as SSL_CERT_FILE in "           \
    "`variables`"
#define HINT_NAME "check the node's network, `index`, and whether a proxy is needed"
#define HINT_NETWORK "check `index`, and the node's network and proxy"
#define HINT_VERSION "ask for a version that exists, or change `python`"

static const struct explain_row rows[] = {
    {"No space left on device", ERR_NO_SPACE, "the node's disk is full", HINT_SPACE},
    {"Disk quota exceeded", ERR_NO_SPACE, "the quota on the node is used up", HINT_SPACE},
    {"Hash mismatch for `{*}`", ERR_CORRUPT,
     "{} is not the file that its hash in the requirements stands for", HINT_HASH},
    {"tampered with them.\n    {} from", ERR_CORRUPT,
     "{} is not the file that its hash in the requirements stands for", HINT_HASH},
    {"DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", ERR_CORRUPT,
     "a package is not the file that its hash in the requirements stands for", HINT_HASH},
    {"a hash, but none were provided for: {*}\n", ERR_CONFIG,
     "hashes are required, and {} has none", HINT_HASHES},
    {"package has a hash.)\n    {} --hash", ERR_CONFIG,
     "hashes are required, and {} has none", HINT_HASHES},
    {"Hashes are required in --require-hashes mode", ERR_CONFIG,
     "hashes are required, and a requirement has none", HINT_HASHES},
    {"must have their versions pinned with ==, but found: {*}\n", ERR_CONFIG,
     "hashes are required, and {} is not pinned with ==", "pin it, or drop the hashes"},
    {"invalid peer certificate", ERR_CONNECT,
     "the certificate of the package index is not trusted on the node", HINT_CERTIFICATE},
    {"confirming the ssl certificate", ERR_CONNECT,
     "the certificate of the package index is not trusted on the node", HINT_CERTIFICATE},
    {"Cannot connect to the Docker daemon", ERR_CONNECT,
     "docker's daemon does not run on the node, or this account may not use it",
     "start it (sudo systemctl start docker), or install podman, which needs none"},
    {"connect to the Docker daemon socket", ERR_ACCESS,
     "this account may not use docker on the node",
     "add it to the group docker (sudo usermod -aG docker USER), or install podman"},
    {"short-name \"{}\" did not resolve", ERR_CONFIG,
     "podman on the node does not know which registry {} is in",
     "write the image's whole name, docker.io/library/NAME:TAG"},
    {"manifest for {} not found", ERR_NOT_FOUND, "the registry has no image {}",
     "check the name and the tag"},
    {"manifest unknown", ERR_NOT_FOUND, "the registry has no such image",
     "check the name and the tag"},
    {"pull access denied for {},", ERR_NOT_FOUND,
     "the registry has no image {}, or does not show it to this account",
     "check the name; log in on the node (podman login, docker login)"},
    {"unauthorized: ", ERR_ACCESS, "the registry does not show the image to this account",
     "log in on the node (podman login, docker login)"},
    {"connect: connection refused", ERR_CONNECT,
     "the image's registry refused the connection",
     "check the image's name, and the node's network and proxy"},
    {": no such host", ERR_CONNECT,
     "the node cannot find the image's registry by its name",
     "check the image's name, and the node's network and proxy"},
    {"x509: ", ERR_CONNECT, "the certificate of the image's registry is not trusted",
     "install its authority on the node"},
    {" {} =* * does not exist", ERR_NOT_FOUND, "no conda channel has a package {}",
     "check the spelling, and `channels`"},
    {"does not exist (perhaps a typo or a missing channel)", ERR_NOT_FOUND,
     "no conda channel has one of the packages in that version",
     "see the build log for which; check the spelling, and `channels`"},
    {"not available from current channels", ERR_NOT_FOUND,
     "no conda channel has one of the packages",
     "see the build log for which; check the spelling, and `channels`"},
    {"Package missing in current", ERR_NOT_FOUND,
     "no conda channel has one of the packages",
     "see the build log for which; check the spelling, and `channels`"},
    {"is not installable because it requires", ERR_NOT_FOUND,
     "the conda packages do not fit together",
     "loosen one of them; the build log says which stand against each other"},
    {"UnavailableInvalidChannel", ERR_NOT_FOUND, "one of the conda channels is not there",
     "check `channels`"},
    {"CondaHTTPError", ERR_CONNECT, "a conda channel could not be reached",
     "check `channels`, and the node's network and proxy"},
    {"Couldn't connect to server", ERR_CONNECT, "a conda channel could not be reached",
     "check `channels`, and the node's network and proxy"},
    {"No module named pip", ERR_UNSUPPORTED,
     "the environment has no pip to install its packages of PyPI with",
     "add pip to the conda dependencies"},
    {"certificate verify failed", ERR_CONNECT,
     "the certificate of the package index is not trusted on the node", HINT_CERTIFICATE},
    {"located at {} is not a trusted or secure host", ERR_CONNECT,
     "pip does not take packages from {} without TLS",
     "use https, or allow it (--trusted-host in the requirements)"},
    {"fatal: unable to access '{*}'", ERR_CONNECT, "git on the node cannot reach {}",
     HINT_NETWORK},
    {"Cannot find command 'git'", ERR_NOT_FOUND,
     "the node has no git, which a requirement needs", "install git on the node"},
    {"Git executable not found", ERR_NOT_FOUND,
     "the node has no git, which a requirement needs", "install git on the node"},
    {"failed to lookup address information", ERR_CONNECT,
     "the node cannot find the package index by its name", HINT_NAME},
    {"Name or service not known", ERR_CONNECT,
     "the node cannot find the package index by its name", HINT_NAME},
    {"Temporary failure in name resolution", ERR_CONNECT,
     "the node cannot find the package index by its name", HINT_NAME},
    {"Connection refused", ERR_CONNECT, "the package index refused the connection",
     HINT_NETWORK},
    {"operation timed out", ERR_TIMED_OUT, "the package index did not answer in time",
     "check the node's network; UV_HTTP_TIMEOUT in `variables` gives it more time"},
    {"Read timed out", ERR_TIMED_OUT, "the package index did not answer in time",
     "check the node's network; PIP_DEFAULT_TIMEOUT in `variables` gives it more time"},
    {"HTTP status server error ({*})", ERR_CONNECT, "the package index answered {}",
     "try again later; if it stays, check `index`"},
    {"returned a {*} error. Check that the index URL", ERR_ACCESS,
     "the package index answered {}", "check `index` and its user and password"},
    {"Failed to fetch: {}\n", ERR_CONNECT, "{} could not be fetched", HINT_NETWORK},
    {"cause: Because {} was not found in the package registry", ERR_NOT_FOUND,
     "the package index has no package {}",
     "check the spelling, and `index`: one that refuses access looks the same"},
    {"cause: Because there is no version of {} and you require", ERR_NOT_FOUND,
     "there is no {}", HINT_VERSION},
    {"cause: Because only {} is available and you require {},", ERR_NOT_FOUND,
     "only {} is available, and {} is required", HINT_VERSION},
    {"cause: Because {} has no wheels with a matching ", ERR_UNSUPPORTED,
     "{} has no wheel for this Python and machine", HINT_VERSION},
    {"cause: Because {} has no usable wheels", ERR_UNSUPPORTED,
     "{} has no wheel for this Python and machine, and may not be built from source",
     HINT_VERSION},
    {"[Errno 2] No such file or directory: 'gcc'", ERR_UNSUPPORTED,
     "a package has to be built from source, and the node has no compiler",
     "install one (apt install build-essential python3-dev), or ask for a version that "
     "has a wheel"},
    {"command '{}' failed: No such file", ERR_UNSUPPORTED,
     "a package has to be built from source, and the node has no {}",
     "install a compiler (apt install build-essential python3-dev), or ask for a version "
     "that has a wheel"},
    {"fatal error: {}: No such file or directory", ERR_UNSUPPORTED,
     "a package has to be built from source, and the node has no {}",
     "install what brings that file (Python.h: python3-dev), or ask for a version that "
     "has a wheel"},
    {"requirement {*} (from versions: none)", ERR_NOT_FOUND,
     "the package index has no package {} for this Python, or cannot be reached",
     "check the spelling, `index`, `python` and the node's network"},
    {"requirement {*} (from versions: {*})", ERR_NOT_FOUND,
     "no version is {} for this Python; there are {}", HINT_VERSION},
    {"Failed building wheel for {}\n", ERR_UNSUPPORTED,
     "{} has no wheel for this Python and machine, and cannot be built from source",
     HINT_BUILD},
    {"Failed to build `{} @ file:", ERR_UNSUPPORTED,
     "{}, which is part of the project, cannot be built",
     "the end of the build log has what its build says"},
    {"Failed to build `{*}`", ERR_UNSUPPORTED,
     "{} has no wheel for this Python and machine, and cannot be built from source",
     HINT_BUILD},
    {"Failed to download and build `{*}`", ERR_UNSUPPORTED,
     "{} cannot be built from source", HINT_BUILD},
    {"ensurepip is not available", ERR_UNSUPPORTED,
     "the node's Python cannot make virtual environments with pip",
     "install what it lacks (apt install python3-venv), or uv"},
};

/* The lines from `at` on, as one, up to an empty one or a hint. */
static void join_lines(const char *at, const char *between, struct strbuf *out)
{
    while (*at != '\0' && out->length < LAST_WORDS_MAX) {
        size_t length = strcspn(at, "\n");
        size_t blanks = strspn(at, " ");
        if (length == 0 || blanks == length || strncmp(at, "hint", 4) == 0) {
            return;
        }
        strbuf_printf(out, "%s%.*s", out->length > 0 ? between : "",
                      (int)(length - blanks), at + blanks);
        at += length + (at[length] == '\n');
    }
}

/* What the resolver found out: uv's "cause: Because ...", or pip's list. */
static bool find_conflict(const char *text, struct strbuf *out)
{
    static const char uv[] = "cause: Because ";
    static const char *const ends[] = {" And because you require ",
                                       ", we can conclude that your requirements are"};
    static const char pip[] = "The conflict is caused by:\n";
    const char *at = strstr(text, uv);
    if (at != NULL) {
        join_lines(at + strlen(uv), " ", out);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
            const char *end = strstr(out->data, ends[i]);
            strbuf_truncate(out, end != NULL ? (size_t)(end - out->data) : out->length);
        }
        return true;
    }
    at = strstr(text, pip);
    if (at != NULL) {
        join_lines(at + strlen(pip), ", ", out);
    }
    return at != NULL;
}

/* The last line that is not empty, or the one that begins with "error". */
static void find_last_words(const char *text, struct strbuf *out)
{
    const char *best = "";
    size_t best_length = 0;
    bool has_error = false;
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        bool is_error = strncmp(line, "error", 5) == 0 || strncmp(line, "ERROR", 5) == 0;
        if (length > 0 && (is_error || !has_error)) {
            best = line;
            best_length = length;
            has_error |= is_error;
        }
        line += length + (line[length] == '\n');
    }
    strbuf_printf(out, "%.*s",
                  (int)(best_length < LAST_WORDS_MAX ? best_length : LAST_WORDS_MAX),
                  best);
}

int environment_explain(const char *builder, const char *text, int status,
                        struct error *err)
{
    if (explain(rows, ARRAY_SIZE(rows), text, err)) {
        return error_result();
    }
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    if (find_conflict(text, &why)) {
        error_set(err, ERR_NOT_FOUND, "the requirements cannot all be met: %.*s",
                  LAST_WORDS_MAX, why.data);
        return error_hint(err, "loosen one of them; the build log has the whole text");
    }
    find_last_words(text, &why);
    error_set(err, ERR_SPAWN, "%s failed (%s %d)%s%s", builder,
              status > 128 ? "signal" : "status", status > 128 ? status - 128 : status,
              why.length > 0 ? ": " : "", why.data);
    return error_hint(err, "the build log has the whole text");
}
