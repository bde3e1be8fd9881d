/*
 * serve: the executor's end of a connection.            [executor]
 *
 * `errand-executor serve --root DIR [--install PATH --digest HEX]`: prints the marker
 * line, then speaks the protocol on its standard input and output until either is closed.
 * It has no state of its own: what it is asked for it finds in the node's root, and runs
 * go on without it. One thread; no request waits for another, nor for a reader
 * (service.h).
 */
#ifndef EXECUTOR_SERVE_H
#define EXECUTOR_SERVE_H

/* The verb. Returns the exit status: 0 when the connection was closed, 1 when it could
 * not begin (the reason is on standard output as an ERRAND-BOOTSTRAP line) or the other
 * end broke the protocol. */
int serve_main(int argc, char **argv);

#endif
