/*
 * http_curl: the node's curl program as a carrier of requests. [executor]
 *
 * The static executor resolves no names and has no TLS; the node's curl has both, and
 * SPNEGO where it was built with it. One process a request. All that a request says goes
 * over curl's standard input as a configuration (curl(1), -K), never on its command line,
 * which everybody on the node can read; no shell is involved; ~/.curlrc does not count.
 * Proxies of the environment do not count either: what is asked is the cluster's own, and
 * Hadoop's clients go there directly.
 *
 * The process has to ignore SIGPIPE.
 */
#ifndef EXECUTOR_HTTP_CURL_H
#define EXECUTOR_HTTP_CURL_H

#include "common/http.h"

/* program: curl's path, or "curl" to look it up in PATH. Both are borrowed as long as the
 * carrier lives. settings may be NULL: no login. Nothing is started yet; a program that
 * is not there is ERR_SPAWN of the first request. */
struct http *http_curl_new(const char *program, const struct http_settings *settings);

#endif
