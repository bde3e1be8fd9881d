/*
 * contained: this program as the first process of a run's container. [executor]
 */
#ifndef EXECUTOR_CONTAINED_H
#define EXECUTOR_CONTAINED_H

/*
 * contained FOLDER UMASK hold|forward: with variables on standard input ("NAME=value" NUL
 * ...), become the parent of the script of the run in FOLDER. Says on standard output, in
 * lines, "started", "exited N", "signaled N", or "failed CODE SENTENCE" where it could
 * not be started. "forward": SIGTERM and its like go to the script; "hold": others send
 * them there. Returns the script's exit status, or 128 + n of signal n.
 */
int contained_main(int argc, char **argv);

#endif
