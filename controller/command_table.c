#include "controller/command.h"

#include <string.h>

const struct cli_command *const command_table[] = {
#define COMMAND(symbol) &symbol,
#include "controller/commands.def"
#undef COMMAND
};
const size_t command_table_count = ARRAY_SIZE(command_table);

size_t command_help_group(const char *group, struct strbuf *out)
{
    const struct cli_command *members[ARRAY_SIZE(command_table)];
    size_t count = 0, length = strlen(group);
    for (size_t i = 0; i < command_table_count; i++) {
        const char *name = command_table[i]->name;
        if (strncmp(name, group, length) == 0 && name[length] == ' ') {
            members[count++] = command_table[i];
        }
    }
    if (count > 0) {
        cli_help_list(members, count, out);
    }
    return count;
}
