/*
 * spark_progress: how far a Spark application is.            [engine]
 *
 * Spark's page of an application has its jobs as JSON, also through YARN's proxy
 * (Spark's "Monitoring", "REST API"). What the jobs under way have done and have to do,
 * together, is said in a few words; a stage or task that Spark skips is done.
 */
#ifndef COMMON_SPARK_PROGRESS_H
#define COMMON_SPARK_PROGRESS_H

#include "common/http.h"

/* Append "stage 3 of 7, 120/400 tasks", or nothing where no job is under way. body: an
 * answer of .../jobs. Errors: ERR_PROTOCOL: it is no such answer. */
int spark_parse_progress(const char *body, size_t length, struct strbuf *out,
                         struct error *err);

/* Ask the application's page for that; it may end with a slash. Errors: http_follow's;
 * ERR_PROTOCOL. */
int spark_ask_progress(struct http *http, const char *page, const char *application,
                       int64_t timeout_ms, struct strbuf *out, struct error *err);

#endif
