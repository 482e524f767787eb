import { useCallback } from 'react';
import { useViewer } from './session';

/** Whether the viewer may `read` or `admin` an area of administration, such as `policy`. */
export type Can = (area: string, action: 'read' | 'admin') => boolean;

/** What the viewer may do. It hides what would be refused: the gateway refuses it in any case. */
export function useRights(): Can {
  const { admin } = useViewer();
  return useCallback((area, action) => admin.some((right) => right.area === area && right[action]), [admin]);
}
