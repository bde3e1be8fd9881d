/*
 * http_libcurl: the controller's carrier of HTTP (common/http.h), on libcurl.
 * [controller]
 *
 * libcurl is loaded when the first carrier is made: with the 30 libraries that it brings
 * it takes longer to load than errand to run, and only who talks to a cluster over HTTP
 * needs it.
 *
 * Certificates and host names are verified, always. Connections are kept and used again,
 * but only for what may be repeated: a server that closes an idle connection just then
 * has libcurl send again, so that a POST always gets a connection of its own.
 */
#ifndef CONTROLLER_HTTP_LIBCURL_H
#define CONTROLLER_HTTP_LIBCURL_H

#include "common/http.h"

/* settings, and what it points to, is borrowed until http_free. Errors: ERR_UNSUPPORTED
 * (there is no libcurl, or it was built without what the login needs). */
struct http *http_libcurl_new(const struct http_settings *settings, struct error *err);

/* What was loaded: "libcurl 7.88.1, OpenSSL/3.0.20". Static storage, or the library's. */
const char *http_libcurl_version(const struct http *http);

#endif
