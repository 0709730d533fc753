#include "words.h"
#include <stdio.h>

int main(void) {
    struct table table;
    char *word;
    table_init(&table, 64);
    while ((word = next_word())) table_add(&table, word);
    struct entry **all = table_all(&table);
    sort_entries(all, table.used);
    for (size_t i = 0; i < table.used; i++) printf("%zu %s\n", all[i]->count, all[i]->word);
    return ferror(stdin) != 0;
}
