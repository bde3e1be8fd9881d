/*
 * noderoot: the folder on the node under which everything lies (FORMATS.md 3). [executor]
 *
 * Opening makes what is missing (0700), refuses a root whose owner is somebody else or
 * that others may write, checks the format number, notes the boot, computes the node id,
 * and on a network filesystem goes into nodes/<node id>/ (the executors stay in bin/).
 */
#ifndef EXECUTOR_NODEROOT_H
#define EXECUTOR_NODEROOT_H

#include "common/mem.h"
#include "common/oid.h"
#include "common/store.h"

struct noderoot {
    char *top;  /* absolute; has bin/ and format */
    char *path; /* absolute; top, or top/nodes/<id> */
    int fd;     /* of path */
    bool is_network;
    unsigned format; /* of the folder; a new one has the newest */
    char node[OID_HEX_SIZE];
    char boot[40]; /* boot id of the kernel */
    char *host;
};

/* path NULL: ~/.errand by $HOME. Errors: ERR_ACCESS, ERR_VERSION, ERR_NO_SPACE,
 * ERR_MISMATCH (two machines, one id). */
struct noderoot *noderoot_open(const char *path, struct error *err);
void noderoot_free(struct noderoot *root);
DEFINE_CLEANUP_FREE(noderoot)

/* Open the root's store. One that is made now keeps pack files where no program that does
 * not know them comes by, which is from this format on. */
#define NODEROOT_FORMAT_PACKS 2
struct store *noderoot_open_store(const struct noderoot *root, struct error *err);

/* This kernel's boot id: /proc/sys/kernel/random/boot_id. */
int noderoot_boot_id(char out[40], struct error *err);
/* The plain digest of this program's own file, in hexadecimal (read once, then remembered
 * in out by the caller). */
int noderoot_executor_digest(char out[OID_HEX_SIZE], struct error *err);
/* The path of this program's file, malloc'ed; by its name where it still has one, so that
 * `ps` shows it. */
char *noderoot_program(void);
/* "linux-x86_64": this machine, as Python names platforms. malloc'ed; "linux-unknown"
 * where the kernel does not say. */
char *noderoot_platform(void);

#endif
