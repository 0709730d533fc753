/* Windows' bcryptprimitives.dll, for a wine that has none (before 9): the one function that Rust's library takes of it,
   by the one that every wine has. Only the check uses it. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG count);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count)
{
    return SystemFunction036(bytes, (ULONG)count);
}
