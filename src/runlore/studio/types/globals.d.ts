// What pages find in their window beside what all pages have.

interface Window {
  /** What a copy that was opened from disk holds. */
  runloreCopy?: {
    /** Answers by their questions, as `studio/copies/questions.py` writes them. */
    answers: Record<string, any>;
    /** The addresses of files by their paths. */
    files: Record<string, string>;
    runs: string[];
  };
  /** In Chromium: https://w3c.github.io/trusted-types/ */
  trustedTypes?: {
    createPolicy(
      name: string,
      rules: { createScriptURL: (url: string) => string | null },
    ): { createScriptURL: (url: string) => string };
  };
}
