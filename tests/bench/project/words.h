/* Counting words. */
#ifndef WORDS_H
#define WORDS_H
#include <stddef.h>

struct entry {
    char *word;
    size_t count;
    struct entry *next;
};

struct table {
    struct entry **buckets;
    size_t size, used;
};

void table_init(struct table *table, size_t size);
struct entry *table_add(struct table *table, const char *word);
struct entry **table_all(const struct table *table);
char *next_word(void);
void sort_entries(struct entry **entries, size_t count);
#endif
