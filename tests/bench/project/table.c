#include "words.h"
#include <stdlib.h>
#include <string.h>

static size_t hash(const char *word) {
    size_t value = 1469598103934665603u;
    for (; *word; word++) value = (value ^ (unsigned char)*word) * 1099511628211u;
    return value;
}

void table_init(struct table *table, size_t size) {
    table->buckets = calloc(size, sizeof *table->buckets);
    table->size = size;
    table->used = 0;
    if (!table->buckets) abort();
}

static void grow(struct table *table) {
    struct table larger;
    table_init(&larger, table->size * 2);
    for (size_t i = 0; i < table->size; i++)
        for (struct entry *entry = table->buckets[i], *next; entry; entry = next) {
            struct entry **bucket = &larger.buckets[hash(entry->word) % larger.size];
            next = entry->next;
            entry->next = *bucket;
            *bucket = entry;
        }
    larger.used = table->used;
    free(table->buckets);
    *table = larger;
}

struct entry *table_add(struct table *table, const char *word) {
    struct entry **bucket = &table->buckets[hash(word) % table->size];
    for (struct entry *entry = *bucket; entry; entry = entry->next)
        if (!strcmp(entry->word, word)) {
            entry->count++;
            return entry;
        }
    struct entry *entry = malloc(sizeof *entry);
    if (!entry || !(entry->word = strdup(word))) abort();
    entry->count = 1;
    entry->next = *bucket;
    *bucket = entry;
    if (++table->used > table->size) grow(table);
    return entry;
}

struct entry **table_all(const struct table *table) {
    struct entry **all = calloc(table->used + 1, sizeof *all), **at = all;
    if (!all) abort();
    for (size_t i = 0; i < table->size; i++)
        for (struct entry *entry = table->buckets[i]; entry; entry = entry->next) *at++ = entry;
    return all;
}
