#include "words.h"
#include <ctype.h>
#include <stdio.h>

char *next_word(void) {
    static char word[256];
    size_t length = 0;
    int c;
    while ((c = getchar()) != EOF) {
        if (isalpha(c)) {
            if (length + 1 < sizeof word) word[length++] = (char)tolower(c);
        } else if (length) {
            break;
        }
    }
    word[length] = 0;
    return length ? word : NULL;
}
