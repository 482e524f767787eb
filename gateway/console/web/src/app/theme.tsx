import { useEffect, useState } from 'react';
import { Button } from 'react-aria-components';

const key = 'trilith-theme';
const next = { auto: 'light', light: 'dark', dark: 'auto' } as const;
type Theme = keyof typeof next;

const stored = (): Theme => {
  const value = localStorage.getItem(key);
  return value === 'light' || value === 'dark' ? value : 'auto';
};

/** Changes between the system's colours, light and dark; the browser keeps the choice. */
export function ThemeButton() {
  const [theme, setTheme] = useState(stored);
  useEffect(() => {
    if (theme === 'auto') {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem(key);
      return;
    }
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(key, theme);
  }, [theme]);
  return <Button onPress={() => setTheme(next[theme])}>Colours: {theme}</Button>;
}
