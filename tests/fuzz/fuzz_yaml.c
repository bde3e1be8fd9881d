/*
 * yaml: what is accepted is a bounded tree with lines, whose scalars can be written and
 * read back; what is refused has a sentence that begins with the file's name.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/bytes.h"
#include "common/strbuf.h"
#include "controller/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_scalar(const char *text)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    CLEANUP(yaml_node_cleanup) struct yaml_node *back = NULL;
    struct error err = ERROR_INIT;

    strbuf_puts(&sb, "[");
    yaml_write_scalar(&sb, text);
    strbuf_puts(&sb, "]");
    back = yaml_parse("back", sb.data, sb.length, &err);
    assert(back != NULL || sb.length > YAML_SIZE_MAX);
    assert(back == NULL || strcmp(back->first->text, text) == 0);
}

static void check_node(const struct yaml_node *node, unsigned depth)
{
    size_t count = 0;

    assert(depth <= YAML_DEPTH_MAX && node->line > 0 && node->count <= YAML_COUNT_MAX);
    if (node->kind == YAML_SCALAR) {
        assert(bytes_is_utf8(node->text, strlen(node->text)));
        check_scalar(node->text);
    }
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        assert((child->key != NULL) == (node->kind == YAML_MAP));
        check_node(child, depth + 1);
        count++;
    }
    assert(count == node->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    CLEANUP(yaml_node_cleanup)
    struct yaml_node *root = yaml_parse("f", (const char *)data, size, &err);

    if (root == NULL) {
        assert(err.code == ERR_CONFIG && strncmp(err.text, "f:", 2) == 0);
        return 0;
    }
    assert(err.code == ERR_NONE);
    check_node(root, 0);
    return 0;
}
