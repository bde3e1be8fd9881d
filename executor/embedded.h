/*
 * embedded: the Python texts that this program carries (CMakeLists.txt makes them from
 * the files of these names).            [executor]
 */
#ifndef EXECUTOR_EMBEDDED_H
#define EXECUTOR_EMBEDDED_H

/* ASCII, NUL-terminated. */
extern const char spark_driver_text[]; /* spark_driver.py */
extern const char spark_probe_text[];  /* spark_probe.py */

#endif
