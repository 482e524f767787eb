import type { CombinedError } from '@urql/core';

/** What a refusal or failure says, in the gateway's words. */
export type Failure = {
  /** One of the gateway's codes, such as PERMISSION_DENIED, or NETWORK where nothing was answered. */
  code: string;
  message: string;
  /** The call, under which the audit log has the rule that refused; empty where there was none. */
  call: string;
  /** The field of the document that failed; empty for all of it. */
  path: string;
  /** What is wrong with the arguments, and where: JSON Pointers and words. */
  violations: Violation[];
};

export type Violation = { pointer: string; message: string };

/** Every failure in an answer. */
export function failures(error: CombinedError | undefined): Failure[] {
  if (!error) return [];
  if (error.networkError && error.graphQLErrors.length === 0) {
    const { status } = (error.response ?? {}) as { status?: number };
    if (status === 401)
      return [{ code: 'UNAUTHENTICATED', message: 'Your session has ended.', call: '', path: '', violations: [] }];
    return [{ code: 'NETWORK', message: 'The gateway does not answer.', call: '', path: '', violations: [] }];
  }
  return error.graphQLErrors.map((e) => ({
    code: String(e.extensions?.code ?? 'INTERNAL'),
    message: e.message,
    call: String(e.extensions?.call ?? ''),
    path: (e.path ?? []).join('.'),
    violations: Array.isArray(e.extensions?.violations) ? (e.extensions.violations as Violation[]) : [],
  }));
}

/** Whether somebody else was faster: read again, and repeat. */
export const isAborted = (error: CombinedError | undefined) => failures(error).some((f) => f.code === 'ABORTED');
