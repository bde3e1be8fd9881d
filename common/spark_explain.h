/*
 * spark_explain: what a Spark job's failure means, in a sentence.            [engine]
 *
 * Spark and YARN say a lot. A table of what they say, and of what it means to who wrote
 * the script, turns it into one sentence and what to do; the whole text stays in the
 * run's logs.
 */
#ifndef COMMON_SPARK_EXPLAIN_H
#define COMMON_SPARK_EXPLAIN_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * text (its bytes may be any): what spark-submit or the driver wrote, or YARN's
 * diagnostics. Sets err to the sentence, with a hint of what to do, where a row of the
 * table knows it. False: none does, and err is untouched.
 */
bool spark_explain(const char *text, size_t length, struct error *err);

/*
 * Where no row does: the last line of spark-submit's text (its bytes may be any) that
 * tells of an error, cut to size, with a NUL; "" where none does.
 */
void spark_last_words(const char *text, size_t length, char *out, size_t size);

#endif
