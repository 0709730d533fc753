// A minimal access control list is the mode: where lists are not supported, programs set the mode itself. See acl(5).
#include "check.h"
#include <sys/xattr.h>

// The three entries of rwxr-x---, as Linux keeps them (linux/posix_acl_xattr.h): version, then tag, rights, id.
static const unsigned char ACL[] = {
    2, 0, 0, 0,                                  // version
    0x01, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,       // owner
    0x04, 0, 5, 0, 0xff, 0xff, 0xff, 0xff,       // group
    0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,       // others
};

int main(void) {
    put("f", "");
    int fd = open("f", O_RDWR);
    CHECK(fd >= 0);
    // What libacl's users (sed -i, cp -p) do.
    if (fsetxattr(fd, "system.posix_acl_access", ACL, sizeof ACL, 0) != 0) {
        CHECK(errno == EOPNOTSUPP);
        CHECK(fchmod(fd, 0750) == 0);
    }
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    printf("%o\n", st.st_mode & 07777);
    return 0;
}
