#include "executor/spark_ship.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/archive.h"
#include "common/spark_paths.h"
#include "executor/shipping.h"
#include "executor/spark_environment.h"

#define NAME_SIZE 192

void spark_shipment_init(struct spark_shipment *shipment)
{
    *shipment =
        (struct spark_shipment){.archives = STRVEC_INIT, .python_path = STRVEC_INIT};
}

void spark_shipment_release(struct spark_shipment *shipment)
{
    strvec_release(&shipment->archives);
    strvec_release(&shipment->python_path);
    free(shipment->python);
    free(shipment->outputs);
    spark_shipment_init(shipment);
}

/* ---- How the cluster is reached */

static void add_shell(const struct spark_node *node, struct strvec *out)
{
    const char *slash = strrchr(node->hadoop, '/');
    if (node->hadoop[0] != '\0') {
        strvec_push(out, node->hadoop);
        strvec_push(out, slash != NULL && strcmp(slash, "/hdfs") == 0 ? "dfs" : "fs");
    } else if (node->home[0] != '\0') { /* Spark brings Hadoop's client */
        strvec_pushf(out, "%s/bin/spark-class", node->home);
        strvec_push(out, "org.apache.hadoop.fs.FsShell");
    }
}

void spark_ship_reach(const struct spark_node *node, struct clusterfs *fs)
{
    add_shell(node, &fs->shell);
    if (node->hadoop_conf_dir[0] != '\0') {
        strvec_pushf(&fs->variables, "HADOOP_CONF_DIR=%s", node->hadoop_conf_dir);
    }
    strvec_push(&fs->variables, "HADOOP_ROOT_LOGGER=ERROR,console");
    if (strcmp(node->security, "kerberos") != 0 && node->curl[0] != '\0') {
        for (size_t i = 0; i < node->webhdfs.count; i++) {
            strvec_push(&fs->web, node->webhdfs.items[i]);
        }
        fs->web_fs = xstrdup(node->fs);
        fs->user = xstrdup(node->user);
        fs->curl = xstrdup(node->curl);
    }
}

/* ---- Where */

static bool begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* The cluster shares no file system. */
static bool is_without_fs(const struct spark_ship *s)
{
    return s->spec->spark->base == NULL &&
           (s->node->fs[0] == '\0' || begins(s->node->fs, "file:"));
}

/* What an address leaves to the cluster's default file system, as Hadoop has it: the path
 * of "/a", and with the default's scheme of "hdfs:/a" and "hdfs:///a". NULL: it names a
 * file system itself. */
static const char *path_in_default(const char *uri, const char *fs)
{
    size_t scheme = strcspn(fs, ":") + 1;
    if (uri[0] == '/') {
        return uri;
    }
    if (!begins(fs + scheme - 1, "://") || strspn(fs + scheme, "/") > 2 ||
        strncmp(uri, fs, scheme) != 0) {
        return NULL;
    }
    const char *path = uri + scheme;
    path += begins(path, "///") ? 2 : 0;
    return path[0] == '/' && path[1] != '/' ? path : NULL;
}

/* The folder in the cluster that is ours; no slash behind it. */
static char *find_base(const struct spark_ship *s)
{
    const char *wish = s->spec->spark->base;
    size_t length = strlen(s->node->fs);
    while (length > 0 && s->node->fs[length - 1] == '/') {
        length--;
    }
    if (is_without_fs(s)) {
        return xasprintf("file://%s/shipped/files", s->root->path);
    }
    if (wish == NULL) {
        return xasprintf("%.*s/user/%s/.errand", (int)length, s->node->fs, s->node->user);
    }
    /* With its host, WebHDFS is known to serve it (clusterfs.h). */
    const char *path = path_in_default(wish, s->node->fs);
    char *base = path != NULL ? xasprintf("%.*s%s", (int)length, s->node->fs, path)
                              : xstrdup(wish);
    for (size_t end = strlen(base); end > 1 && base[end - 1] == '/'; end--) {
        base[end - 1] = '\0';
    }
    return base;
}

static struct shipping begin(const struct spark_ship *s, const char *base)
{
    return (struct shipping){.root = s->root,
                             .fs = s->fs,
                             .base = base,
                             .run = s->spec->run,
                             .run_fd = s->run_fd,
                             .wants_proof = s->wants_proof};
}

/* ---- The project */

struct name {
    char text[NAME_SIZE];
};

static struct name project_name(const struct spark_ship *s)
{
    struct name name;
    char hex[OID_HEX_SIZE];
    oid_to_hex(&s->spec->root, hex);
    snprintf(name.text, sizeof(name.text), "projects/%s.tar", hex);
    return name;
}

static int say_left_out(void *context, const char *path, const char *target,
                        struct error *err)
{
    const struct spark_ship *s = context;
    (void)err;
    programs_say(s->fs->programs,
                 "warning: %s is a link to %s, which is no part of the project: the "
                 "cluster does not get it",
                 path, target);
    return 0;
}

static int make_project(void *context, int fd, struct error *err)
{
    struct spark_ship *s = context;
    CLEANUP(store_cleanup) struct store *store = noderoot_open_store(s->root, err);
    const struct archive_request request = {
        .out_fd = fd, .leads_out = say_left_out, .context = s};
    struct archive_facts facts;
    if (store == NULL) {
        return -1;
    }
    const struct object_source source = store_source(store);
    CLEANUP_FD int lock = store_lock(store, false, -1, err);
    return lock < 0 ||
                   archive_snapshot(&request, &source, &s->spec->root, &facts, err) < 0
               ? -1
               : 0;
}

/* ---- The environment */

static struct name environment_name(const struct spark_ship *s)
{
    struct name name;
    snprintf(name.text, sizeof(name.text), "environments/%s-%s.tar",
             s->pin->facts.identity, s->pin->facts.build);
    return name;
}

struct environment_cargo {
    const struct spark_ship *ship;
    enum spark_environment_kind kind;
};

static int make_environment(void *context, int fd, struct error *err)
{
    const struct environment_cargo *c = context;
    const struct spark_ship *s = c->ship;
    CLEANUP_FREE char *scratch =
        xasprintf("%s/shipped/.tmp-%s-unpacked", s->root->path, s->spec->run);
    const struct spark_packing packing = {.pin = s->pin,
                                          .kind = c->kind,
                                          .python = s->node->python,
                                          .imports = &s->spec->environment.imports,
                                          .programs = s->fs->programs,
                                          .scratch = scratch};
    return spark_environment_pack(&packing, fd, err);
}

/* ---- Both */

static int send(const struct shipping *shipping, const struct cargo *cargo,
                const char *alias, struct spark_shipment *out, struct error *err)
{
    CLEANUP_FREE char *uri = NULL;
    int result = shipping_send(shipping, cargo, &uri, err);
    if (result < 0) {
        return -1;
    }
    out->has_sent |= result == 1;
    strvec_pushf(&out->archives, "%s#%s", uri, alias);
    return 0;
}

static int send_project(const struct spark_ship *s, const struct shipping *shipping,
                        struct spark_shipment *out, struct error *err)
{
    struct name name = project_name(s);
    struct spark_ship copy = *s;
    const struct cargo cargo = {
        .name = name.text, .what = "the project", .make = make_project, .context = &copy};
    return send(shipping, &cargo, SPARK_ALIAS_PROJECT, out, err);
}

static int send_environment(const struct spark_ship *s, const struct shipping *shipping,
                            enum spark_environment_kind kind, struct spark_shipment *out,
                            struct error *err)
{
    struct name name = environment_name(s);
    struct environment_cargo context = {.ship = s, .kind = kind};
    const struct cargo cargo = {.name = name.text,
                                .what = "the environment",
                                .is_costly = true,
                                .make = make_environment,
                                .context = &context};
    if (send(shipping, &cargo, SPARK_ALIAS_ENVIRONMENT, out, err) < 0) {
        return -1;
    }
    if (kind == SPARK_ENVIRONMENT_CONDA) {
        out->prefix = SPARK_ALIAS_ENVIRONMENT;
        out->python = xstrdup("./" SPARK_ALIAS_ENVIRONMENT "/bin/python");
    }
    return 0;
}

/* YARN unpacks archives by tar. Spark itself (Utils.unpack, 3.5) makes no file executable
 * and leads links elsewhere: there a Python that came along would not start, and
 * executors have it where it was built, as on one machine. */
static bool is_left_in_place(const struct spark_ship *s)
{
    const char *wish = s->spec->spark->master;
    return strcmp(s->pin->activation, "conda") == 0 &&
           !begins(wish != NULL ? wish : s->node->master, "yarn");
}

static int add_environment(const struct spark_ship *s, const struct shipping *shipping,
                           struct spark_shipment *out, struct error *err)
{
    enum spark_environment_kind kind = SPARK_ENVIRONMENT_NONE;
    if (spark_environment_choose(s->pin, s->node, &kind, err) < 0) {
        return -1;
    }
    if (kind == SPARK_ENVIRONMENT_CONDA && is_left_in_place(s)) {
        kind = SPARK_ENVIRONMENT_EXISTING;
    }
    switch (kind) {
    case SPARK_ENVIRONMENT_NONE:
        return 0;
    case SPARK_ENVIRONMENT_EXISTING:
        out->python = s->pin->interpreter != NULL ? xstrdup(s->pin->interpreter) : NULL;
        return 0;
    case SPARK_ENVIRONMENT_PACKAGES:
    case SPARK_ENVIRONMENT_CONDA:
        return send_environment(s, shipping, kind, out, err);
    }
    return error_set(err, ERR_INTERNAL, "an environment of no kind");
}

char *spark_ship_outputs(const struct spark_ship *s, int64_t attempt)
{
    CLEANUP_FREE char *base = find_base(s);
    return is_without_fs(s) ? NULL
                            : xasprintf("%s/outputs/%s-%lld.tar", base, s->spec->run,
                                        (long long)attempt);
}

int spark_ship(const struct spark_ship *s, int64_t attempt, struct spark_shipment *out,
               struct error *err)
{
    CLEANUP_FREE char *base = find_base(s);
    const struct shipping shipping = begin(s, base);
    if (send_project(s, &shipping, out, err) < 0 ||
        add_environment(s, &shipping, out, err) < 0) {
        return -1;
    }
    spark_paths_in_container(s->spec, &out->python_path);
    if (out->archives.count > 1 && out->python == NULL) {
        strvec_push(&out->python_path, SPARK_ALIAS_ENVIRONMENT);
    }
    out->outputs = spark_ship_outputs(s, attempt);
    return out->outputs != NULL ? shipping_need(&shipping, out->outputs, err) : 0;
}

int spark_ship_environment(const struct spark_ship *s, struct spark_shipment *out,
                           struct error *err)
{
    CLEANUP_FREE char *base = find_base(s);
    const struct shipping shipping = begin(s, base);
    return add_environment(s, &shipping, out, err);
}

bool spark_shipment_is_missed(const struct spark_shipment *shipment, const char *words)
{
    bool is_missed = false;
    for (size_t i = 0; i < shipment->archives.count; i++) {
        is_missed |= spark_paths_is_missed(shipment->archives.items[i], words);
    }
    return is_missed;
}

bool spark_ship_has_environment(const struct spark_ship *s)
{
    CLEANUP_FREE char *base = find_base(s);
    const struct shipping shipping = begin(s, base);
    return s->pin == NULL || s->pin->facts.identity[0] == '\0' || is_left_in_place(s) ||
           shipping_is_known(&shipping, environment_name(s).text);
}

void spark_ship_forget(const struct spark_ship *s)
{
    CLEANUP_FREE char *base = find_base(s);
    const struct shipping shipping = begin(s, base);
    shipping_forget(&shipping, project_name(s).text);
    if (s->pin != NULL && s->pin->facts.identity[0] != '\0') {
        shipping_forget(&shipping, environment_name(s).text);
    }
}

void spark_ship_add_driver_path(const struct spark_shipment *shipment,
                                const char *project, struct strvec *out)
{
    size_t length = strlen(SPARK_ALIAS_PROJECT);
    for (size_t i = 0; i < shipment->python_path.count; i++) {
        const char *path = shipment->python_path.items[i];
        bool is_project = begins(path, SPARK_ALIAS_PROJECT) &&
                          (path[length] == '\0' || path[length] == '/');
        strvec_pushf(out, "%s%s", is_project ? project : path,
                     is_project ? path + length : "");
    }
}
